// The precompiled header of everything that draws: Qt's widgets, and of core what panels need without libtorch.
#include <QtWidgets>
#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fmt/format.h>
#include <functional>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <thread>
#include <vector>
