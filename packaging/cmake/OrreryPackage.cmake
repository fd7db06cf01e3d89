# Install rules shared by all targets, the exported CMake package and the Debian package.
