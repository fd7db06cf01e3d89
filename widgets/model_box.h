#pragma once

class QComboBox;

namespace orrery::widgets {

struct Selection;

/// Fills a box with the MODEL arguments that a selection could mean, the one that is meant first: "Run 3" for run:3, the argument itself as data. Emits nothing.
void fillModelBox(QComboBox& box, const Selection& selection);

}  // namespace orrery::widgets
