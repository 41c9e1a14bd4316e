// Opens a program that is to be executed by descriptor.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <tl/expected.hpp>

#include "common/unique_fd.h"

namespace iperf3_exporter {

// The maximum length of a program's path in the worker's configuration.
inline constexpr std::size_t kMaxPathBytes = 1024;

enum class ProgramError : std::uint8_t {
  kNotReadable,    // errno says why
  kNotExecutable,  // or not a regular file
  kNotElf,         // a script: its interpreter would find the descriptor closed
};

// Opens the file at `path` for reading and checks it. Never blocks on a FIFO.
[[nodiscard]] tl::expected<UniqueFd, ProgramError> OpenProgram(const std::string& path);

}  // namespace iperf3_exporter
