"""Mutants of modules, their ports, and the credentials of iperf3's own authentication, as run.py takes them."""

MODULE = "supervisor/config/module.cc"
CONFIG_FILE = "supervisor/config/config_file.cc"
PAGE = "supervisor/config/modules_page.cc"
STORE = "supervisor/app/module_store.cc"
PUBLIC_KEY = "supervisor/auth/public_key.cc"
PORTS = "supervisor/probe/port_list.cc"
REQUEST = "supervisor/probe/probe_request.cc"
READER = "supervisor/probe/request_reader.cc"
PROGRESS = "supervisor/probe/probe_progress.cc"
DISPATCHER = "supervisor/probe/probe_dispatcher.cc"
REFUSAL = "supervisor/probe/refusal.cc"
ENDPOINTS = "supervisor/app/endpoints.cc"
RELOAD = "supervisor/app/config_reload.cc"
CREDENTIALS = "common/iperf3/test_credentials.cc"
WIRE = "common/wire/wire.cc"

STORE_TEST = "module_store_test"
REQUEST_TEST = "module_request_test"
PASSWORD_TEST = "worker_password_process_test"
RELOAD_TEST = "e2e.modules_test:Files.test_a_reload_takes_both_files_or_none"

# The file, its text, what stands there instead, and the tests of which one has to fail.
MUTANTS = [
    # A module may set, and let a URL override, the target and the module.
    (MODULE, "return option != nullptr && IsModuleParameter(*option) ? option : nullptr;", "return option;", [STORE_TEST]),
    (MODULE, "(parameter == \"port\" && Find(\"port\") == nullptr)", "parameter == \"port\"", [REQUEST_TEST]),
    (MODULE, "if (!modules.requires_module && modules.default_module", "if (modules.default_module", ["module_test"]),
    (MODULE, "return std::ranges::any_of(modules.by_name, ", "return std::ranges::all_of(modules.by_name, ", ["module_test"]),
    (MODULE, "return IsReachable(modules, entry.first) && ", "return ", ["module_test"]),
    (MODULE, "    if (!IsReachable(modules, name)) continue;\n", "", ["module_test"]),
    (MODULE, "if (module->auth && module->target_policy.IsOpen()) names", "if (module->auth) names", [STORE_TEST]),
    (MODULE, "module.target_policy = options.target_policy;", "module.target_policy = {};", [REQUEST_TEST]),
    (MODULE, "module.times = options.probe_times;", "module.times = {};", [STORE_TEST]),
    (MODULE, "module.retries = options.probe_retries;", "module.retries = 0;", [STORE_TEST]),
    (MODULE, ".requires_module = options.requires_module", ".requires_module = false", [REQUEST_TEST]),

    (CONFIG_FILE, "constexpr std::chrono::milliseconds kMinTimeout{1500};", "constexpr std::chrono::milliseconds kMinTimeout{1};",
     [STORE_TEST]),
    (CONFIG_FILE, "if (timeout < kMinTimeout || timeout > kMaxTimeout) {", "if (timeout <= kMinTimeout || timeout >= kMaxTimeout) {",
     [STORE_TEST]),
    (CONFIG_FILE, "limit = limit ? std::min(*limit, timeout) : timeout;", "limit = timeout;", [STORE_TEST]),
    (CONFIG_FILE, "if (retries > static_cast<int>(kMaxProbeRetries)) {", "if (retries >= static_cast<int>(kMaxProbeRetries)) {",
     [STORE_TEST]),
    (CONFIG_FILE, "name.size() <= kMaxModuleNameBytes", "name.size() < kMaxModuleNameBytes", [STORE_TEST]),
    (CONFIG_FILE, "!name.empty() && name.size() <= kMaxModuleNameBytes && HasOnly", "!name.empty() && HasOnly", [STORE_TEST]),
    (CONFIG_FILE, "target_rules += added->second.allow_targets.size();", "target_rules = added->second.allow_targets.size();",
     [STORE_TEST]),
    (CONFIG_FILE, "if (modules.size() > kMaxModules || ", "if (modules.size() >= kMaxModules || ", [STORE_TEST]),
    (CONFIG_FILE, "    if (yaml::IsAbsent(value)) {", "    if (yaml::IsAbsent(value) && key != \"max\") {", [STORE_TEST]),
    (CONFIG_FILE, "    if (is_empty) {\n", "    if (is_empty && text.empty()) {\n", [STORE_TEST]),
    (CONFIG_FILE, "where + \": expected the name of a file\"}", "where + \": expected the name of a file, got \" + Quote(text)}",
     [STORE_TEST]),
    (CONFIG_FILE, "  if (text->ends_with('\\n')) text->pop_back();\n", "", [STORE_TEST]),
    (CONFIG_FILE, "  if (text->ends_with('\\r')) text->pop_back();\n", "", [STORE_TEST]),
    (CONFIG_FILE, "  if (!public_key) {\n", "  if (!public_key) return {};\n  if (!public_key) {\n", [STORE_TEST]),
    (CONFIG_FILE, "std::filesystem::path(config_file).parent_path()", "std::filesystem::path(config_file).root_path()", [STORE_TEST]),
    (CONFIG_FILE, "if (reason.starts_with(path)) reason.remove_prefix(path.size());", "", [STORE_TEST]),
    (CONFIG_FILE, "checked = CheckPassword(*text); !checked)", "checked = CheckPassword(*text); !checked && text->empty())", [STORE_TEST]),
    (CONFIG_FILE, "checked = CheckPublicKeyText(*text); !checked)", "checked = CheckPublicKeyText(*text); !checked && text->empty())",
     [STORE_TEST]),
    (CONFIG_FILE, "if (!module.auth) continue;", "if (!module.auth) break;", [STORE_TEST]),
    (CONFIG_FILE, "if (found != modules.by_name.end()) modules.default_module = found->second;",
     "if (found == modules.by_name.end()) return modules;", [REQUEST_TEST]),
    (CONFIG_FILE, "if (max.value_or(0) != 0 && !values.burst_packets) return *max;", "if (max.value_or(0) != 0) return *max;",
     [STORE_TEST]),
    (CONFIG_FILE, "if (limit != nullptr && limit->max <= max) return;", "if (limit != nullptr && limit->max == max) return;",
     [REQUEST_TEST]),
    (CONFIG_FILE, "if (!module.AllowsOverride(option.name)) {", "if (module.name.empty()) {", [STORE_TEST]),
    (CONFIG_FILE, "  module.target_policy.AddAllowList(\"allow_targets of module \" + Quote(module.name));\n", "", [REQUEST_TEST]),
    (CONFIG_FILE, "if (module.Find(option.name) != nullptr) {", "if (module.Find(option.alias) != nullptr) {", [STORE_TEST]),
    (CONFIG_FILE, "std::move(text), LineOf(value)});", "std::move(text), module.line});", [STORE_TEST]),
    (CONFIG_FILE, "return {std::move(text), LineOf(node)};", "return {std::move(text), 1};", [STORE_TEST]),
    (CONFIG_FILE, "  module.line = line;\n", "  module.line = 1;\n", [STORE_TEST]),

    (PAGE, "\"password_file\" << auth->password.name", "\"password_file\" << auth->credentials.password", [STORE_TEST]),
    (PAGE, "auth->public_key.name << YAML::Key", "auth->credentials.public_key << YAML::Key", [STORE_TEST]),
    (PAGE, "\"pkcs1_padding\" << auth->credentials.pkcs1_padding", "\"pkcs1_padding\" << false", [STORE_TEST]),
    (PAGE, "    if (!module.AllowsOverride(parameter)) continue;\n", "", [STORE_TEST]),
    (PAGE, "std::min(*value, limit->max)", "std::max(*value, limit->max)", [STORE_TEST]),
    (PAGE, "if (!modules.requires_module) {", "if (!modules.requires_module || modules.by_name.contains(kDefaultModule)) {",
     [STORE_TEST]),
    (PAGE, "if (!module.allow_targets.empty()) {", "if (!module.allow_targets.empty() && !module.overrides) {", [STORE_TEST]),

    (STORE, "                page_ = page;\n", "", [STORE_TEST]),
    (STORE, "if (!module->auth) continue;", "if (!module->auth) break;", [STORE_TEST]),
    (STORE, "if (checked) continue;", "if (checked || name != kDefaultModule) continue;", [STORE_TEST]),
    (STORE, "CheckRequests(*modules, iperf3);", "CheckRequests(*modules, nullptr);", [STORE_TEST]),

    (PUBLIC_KEY, "if (used + kOtherBytes <= block)", "if (used + kOtherBytes < block)", ["public_key_test"]),
    (PUBLIC_KEY, "constexpr std::size_t kOtherBytes = 30 + 42;", "constexpr std::size_t kOtherBytes = 30;", [STORE_TEST]),
    (PUBLIC_KEY, "credentials.username.size() + credentials.password.size();", "credentials.password.size();", ["public_key_test"]),
    (PUBLIC_KEY, "  ::ERR_clear_error();\n", "", ["public_key_test"]),

    (PORTS, "    if (ports.size() > kMaxPorts) return std::nullopt;\n", "", ["port_list_test"]),
    (PORTS, "if (std::ranges::find(ports, number) == ports.end()) ports.push_back(number);", "ports.push_back(number);",
     ["port_list_test"]),
    (PORTS, "ports.begin() + index(random), ports.end()", "ports.begin() + index(random) / 2, ports.end()", ["port_list_test"]),

    (READER, "    if (!module().overrides) return;\n", "    if (!module().overrides || module().overrides->empty()) return;\n",
     [REQUEST_TEST]),
    (READER, "return FindTestOption(parameter.name) == option;", "return parameter.name == option->name;", ["probe_request_test"]),
    (READER, "return FindTestOption(parameter.name) == option;",
     "return FindTestOption(parameter.name) == option && !parameter.value.empty();", [REQUEST_TEST]),
    (READER, "const bool takes_port = PortInUrl().empty() && module().AllowsOverride(\"port\");",
     "const bool takes_port = PortInUrl().empty();", [REQUEST_TEST]),
    (READER, "if (value.empty() && of_module != nullptr) value = of_module->value;", "if (of_module != nullptr) value = of_module->value;",
     [REQUEST_TEST]),
    (READER, "if (module().target_policy.AllowsPort(port)) continue;", "if (module().target_policy.AllowsPort(request_.ports.front())) continue;",
     [REQUEST_TEST]),
    (READER, "    ReadTest();\n    RequireAuthentication();\n", "    ReadTest();\n",
     [REQUEST_TEST]),
    (READER, "is_of_url && other != device && !module().AllowsOverride(option.name)", "is_of_url && other != device && !module().overrides",
     [REQUEST_TEST]),
    (REQUEST, "if (!modules.requires_module) return modules.default_module;",
     "if (!modules.requires_module || !modules.default_module->name.empty()) return modules.default_module;", [REQUEST_TEST]),
    (REQUEST, "const bool is_reachable = IsReachable(modules, found->value);", "const bool is_reachable = true;",
     [REQUEST_TEST]),
    (READER, "if (in_url != nullptr && !IsDefaultPeriod(name, in_url->value)) return", "if (in_url != nullptr) return", [REQUEST_TEST]),
    (REQUEST, "if (!error) continue;", "if (!error) return {};", [STORE_TEST]),

    (PROGRESS, "if (!last_failure_ || now >= last_start_) return std::nullopt;", "if (!last_failure_ || now >= deadline_) return std::nullopt;",
     ["probe_progress_test"]),
    (PROGRESS, "next_port_ + 1 < request_.ports.size()", "next_port_ + 2 < request_.ports.size()", ["probe_progress_test"]),
    (PROGRESS, "  next_port_ = 0;\n  return delay;", "  return delay;", ["probe_progress_test"]),
    (PROGRESS, "if (const auto& auth = request_.module->auth) job", "if (const auto& auth = request_.module->auth; auth && attempts_ == 0) job",
     ["probe_progress_test"]),
    (REFUSAL, "if (policy.AllowsPort(port)) continue;", "if (policy.AllowsPort(port) || port == 5204) continue;",
     ["e2e.modules_test:Probes.test_every_port_must_be_allowed"]),
    (DISPATCHER, "probe.progress.request().module->retries", "options_.probe_retries",
     ["e2e.modules_test:Probes.test_timeout_and_retries_of_a_module"]),
    (ENDPOINTS, "const ProbeTimes& times = request->module->times;", "const ProbeTimes& times = context_.options.probe_times;",
     ["e2e.modules_test:Probes.test_timeout_and_retries_of_a_module"]),
    (RELOAD, "  if (!modules_are_valid && web_read.apply) web_read.apply = not_applied;\n", "", [RELOAD_TEST]),
    (RELOAD, "  if (!web_status && modules_are_valid) modules_read.apply = not_applied;\n", "", [RELOAD_TEST]),
    (RELOAD, "done(modules_are_valid ? web_status : modules_status);", "done(modules_status);", [RELOAD_TEST]),

    (CREDENTIALS, "text.size() <= max_bytes", "text.size() < max_bytes", ["test_credentials_test"]),
    (CREDENTIALS, "[](char c) { return c == ' ' || IsControl(c); }", "[](char c) { return IsControl(c); }", ["test_credentials_test"]),
    (CREDENTIALS, " && username.find(',') == username.npos) return {};", ") return {};", ["test_credentials_test"]),
    (CREDENTIALS, "key.size() > kMaxPublicKeyBytes ||", "key.size() >= kMaxPublicKeyBytes ||", ["test_credentials_test"]),
    (CREDENTIALS, " || key.find('\\0') != key.npos ||", " ||", ["test_credentials_test"]),
    (WIRE, "  fields.Bool(\"credentials\", credentials.pkcs1_padding);\n", "", ["wire_test"]),
    (WIRE, "  fields.Require(!job.credentials || CheckCredentials(*job.credentials), \"credentials\");\n", "", ["wire_test"]),

    ("worker/loop/supervisor_link.cc", "    ::explicit_bzero(frame_.data(), frame_.size());  // it may contain a password\n", "",
     [PASSWORD_TEST]),
    ("worker/loop/worker_loop.cc", "::explicit_bzero(password.data(), password.size());", "password.clear();", [PASSWORD_TEST]),
    ("worker/process/iperf3_process.cc", "::explicit_bzero(password.data(), password.size());", "password.clear();", [PASSWORD_TEST]),
    ("worker/process/iperf3_process.cc", "environment.insert(environment.begin(), password.data());",
     "environment.push_back(password.data());", [PASSWORD_TEST]),
    ("worker/loop/job_runner.cc", ".has_credentials = job.credentials.has_value(),", ".has_credentials = false,",
     ["iperf3_authentication_sandbox_test"]),
    ("worker/iperf3/iperf3_argv.cc", "if (command.credentials->pkcs1_padding && capabilities.pkcs1_padding) {",
     "if (command.credentials->pkcs1_padding || capabilities.pkcs1_padding) {", ["iperf3_argv_test"]),
    ("worker/iperf3/failure_text.cc", "return phase == TestPhase::kAgreed && Has(", "return phase >= TestPhase::kAgreed && Has(",
     ["run_evaluation_test"]),
    ("worker/iperf3/run_evaluation.cc", "if (run.has_credentials && is_refused) {", "if (is_refused) {", ["run_evaluation_test"]),
]
