// The precompiled header of the command line.
#include <core/pch.h>

#include <CLI/CLI.hpp>
