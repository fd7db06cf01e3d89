// The library that stands in for those that libtorch names and does not use (packaging/cmake/OrreryStart.cmake). It is empty.
