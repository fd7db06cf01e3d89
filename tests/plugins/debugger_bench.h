#pragma once
// The Debugger panel in a window of its own, with what its tests do with it.
#include <QLabel>
#include <QLineEdit>
#include <QTabWidget>
#include <QTreeWidget>

#include <core/debug/machine_peaks.h>
#include <core/models/model_file.h>
#include <core/zoo/zoo.h>
#include <plugins/debugger/debugger_panel.h>
#include <plugins/debugger/program_view.h>
#include <plugins/debugger/step_page.h>

#include "trained_bench.h"

namespace orrery::test {

inline constexpr int kPatience = 30000;

/// The machine's peaks are known, in a home of the test's own: nothing is measured but by the test that does.
inline void keepKnownPeaks(const QTemporaryDir& home)
{
    qputenv("XDG_CACHE_HOME", home.path().toUtf8());
    debug::keepPeaks({1000, 50, "2001-02-03T04:05:06.000Z", debug::kEnoughRounds}, debug::machinePeaksFile());
}

inline graph::Model smallGpt()
{
    auto model = zoo::buildModel("gpt", {{"layers", 2}, {"heads", 2}, {"width", 16}, {"vocabulary", 256}, {"block_length", 32}}, 3);
    model.card.tokenizer = {{"kind", "bytes"}};
    return model;
}

struct DebuggerBench : PanelBench<plugins::DebuggerPanel> {
    using PanelBench::PanelBench;
    graph::Model model;

    void show(const core::Json& state = core::Json::object())
    {
        PanelBench::show(state);
        panel->activateWindow();  // shortcuts belong to the active window
        QVERIFY(QTest::qWaitForWindowActive(panel.get()));
    }
    QString file(const char* name = "model.safetensors") const { return folder.filePath(QString::fromLatin1(name)); }
    void open(const graph::Model& opened)
    {
        model = opened;
        models::saveModel(file().toStdString(), model);
        session.openModel(file());
    }
    plugins::StepPage* step() const { return panel->findChild<plugins::StepPage*>(); }
    plugins::ProgramView* program() const { return child<plugins::ProgramView>("program"); }
    QTreeWidget* values() const { return child<QTreeWidget>("values"); }
    QString place() const { return child<QLabel>("place")->text(); }
    bool ready() const { return panel->isIdle() && step()->debugSession() && !program()->model()->index(0, 0).data().isNull(); }
    void waitReady() const { QTRY_VERIFY_WITH_TIMEOUT(ready() && !place().isEmpty(), kPatience); }
    void press(int key, Qt::KeyboardModifiers modifiers = {}) const
    {
        program()->setFocus();
        QTest::keyClick(program(), Qt::Key(key), modifiers);
        QTRY_VERIFY_WITH_TIMEOUT(panel->isIdle(), kPatience);
    }
    void type(const char* name, const QString& text) const
    {
        auto* line = child<QWidget>(name);
        line->setFocus();
        QTest::keyClick(line, Qt::Key_A, Qt::ControlModifier);
        QTest::keyClicks(line, text);
        QTest::keyClick(line, Qt::Key_Return);
        QTRY_VERIFY_WITH_TIMEOUT(panel->isIdle(), kPatience);
    }
    void showTab(const char* tabs, int index) const { child<QTabWidget>(tabs)->setCurrentIndex(index); }
    int rowOf(const char* value) const
    {
        const auto& lines = step()->debugSession()->lines();
        return program()->program()->rowOfLine(lines.lineOf(*lines.graph()->findValue(value)));
    }
    QTreeWidgetItem* item(const QString& name) const
    {
        QTreeWidgetItemIterator it(values());
        for (; *it; ++it)
            if ((*it)->data(0, Qt::UserRole).toString() == name)
                return *it;
        return nullptr;
    }
};

}  // namespace orrery::test
