#pragma once
#include <filesystem>
#include <string>

/// Files that somebody else writes while they are mapped here. A program that saves a checkpoint in place first cuts the old one: reading the mapping then would end this program (SIGBUS).
namespace orrery::core {

/// Watches a mapping from now on: where its file has become shorter, zeros are read instead. For MappedFile alone.
/// @param descriptor  Of the file that was mapped, open still.
void watchMapping(const std::filesystem::path& file, int descriptor, void* begin, std::size_t size);
void forgetMapping(const void* begin);

/// True where no file that is mapped now is known to have been written to: cheap, so that it can be asked after every run. Looks at the files themselves a few times a second.
bool mappedFilesAreAsOpened();
/// @throws StorageError if `address` lies in a mapping whose file was written to since it was opened: it says which, and to open it again.
void requireAsOpened(const void* address);
/// What is wrong with the first file that was written to while it was mapped, were it long closed; empty if there was none.
std::string mappedFileChange();

}  // namespace orrery::core
