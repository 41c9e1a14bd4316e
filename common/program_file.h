// A program that is going to be executed by its descriptor.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <tl/expected.hpp>

#include "common/unique_fd.h"

namespace iperf3_exporter {

// The longest path of a program, as the worker's configuration carries it.
inline constexpr std::size_t kMaxPathBytes = 1024;

enum class ProgramError : std::uint8_t {
  kNotReadable,    // errno says why
  kNotExecutable,  // or not a regular file
  kNotElf,         // a script's interpreter would find the descriptor closed
};

// Opens the file at `path` for reading and checks it. Never blocks on a FIFO.
[[nodiscard]] tl::expected<UniqueFd, ProgramError> OpenProgram(const std::string& path);

}  // namespace iperf3_exporter
