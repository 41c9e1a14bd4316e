// --config.file: the modules and the exporter's own tests. Read strictly: an unknown or repeated
// key, or a value of a wrong type, is an Error "FILE:LINE: reason" that says what is accepted. The
// values of parameters are checked by CheckModules and CheckOwnTests, with the rules of a request.
#pragma once

#include <string>
#include <string_view>

#include "common/error.h"
#include "supervisor/config/module.h"
#include "supervisor/config/watched_files.h"

namespace iperf3_exporter {

// `text` is the content of `file`, whose name is used in errors and for relative paths. Reads no
// file: passwords and keys stay empty. Pure.
[[nodiscard]] Result<Modules> ParseConfigFile(std::string_view text, const std::string& file,
                                              const Options& options);

// Reads and parses `file`, and reads the files that it names. `files` watches all of them.
[[nodiscard]] Result<Modules> LoadConfigFile(const std::string& file, const Options& options,
                                             WatchedFiles& files);

// "FILE:LINE: modules.NAME.KEY: REASON"
[[nodiscard]] tl::unexpected<Error> ModuleError(const std::string& file, int line,
                                                const std::string& module, std::string_view key,
                                                const std::string& reason);

}  // namespace iperf3_exporter
