#pragma once
#include <string>
#include <vector>

#include <core/report/drawing.h>

#include "profile.h"

namespace orrery::debug {

/// One bar of a flame chart: a module call or a node, at its place in time.
struct FlameBar {
    std::string name, type;  ///< path; operator of a node, empty for a module
    int depth = 0;           ///< 0: the whole run
    double start = 0, seconds = 0;
    int node = -1;  ///< index into Profile::nodes; -1: a module call
};

/// The run as nested bars in execution order: the model, its module calls, their nodes, and what loops and branches hold below these. A module is as long as its
/// children together; a loop as long as its children and what it takes itself, which comes first. The steps of a loop are one bar a node.
std::vector<FlameBar> flameBars(const Profile& profile, const std::string& title);

/// Bars as a picture, the widest on top; names where they fit, colours by the operator that takes most of a bar's time (the order of `Profile::operators`).
report::Drawing drawFlame(const Profile& profile, const std::string& title, double width = 1000);

/// The colour group of each bar: index of an operator in `Profile::operators`.
std::vector<std::size_t> flameGroups(const std::vector<FlameBar>& bars, const Profile& profile);

/// What a roofline shows of one operator: a point for each node that computes something.
struct RooflineGroup {
    std::string name;  ///< of the operator; empty: those behind the twelve that take most time
    std::vector<double> intensity, gigaflops;
};
/// By falling time.
std::vector<RooflineGroup> rooflineGroups(const Profile& profile);

/// Arithmetic intensity against speed on logarithmic axes, one mark a node that computes something, under the roofline of the measured peaks.
/// Source: Williams, Waterman & Patterson (2009), "Roofline: An Insightful Visual Performance Model", doi:10.1145/1498765.1498785.
/// @throws core::InputError without measured peaks.
report::Drawing drawRoofline(const Profile& profile, double width = 640, double height = 420);

/// The time of every step of the loops that took most time (at most seven), one curve each.
/// @throws core::InputError without a loop.
report::Drawing drawSteps(const Profile& profile, double width = 640, double height = 320);

}  // namespace orrery::debug
