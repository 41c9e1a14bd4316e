#include "supervisor/probe/request_reader.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "common/iperf3/defects.h"
#include "common/iperf3/option_text.h"
#include "common/quoted_text.h"
#include "common/text.h"
#include "supervisor/probe/port_list.h"
#include "supervisor/probe/probe_timing.h"

namespace iperf3_exporter {
namespace {

constexpr std::uint64_t kUdpDefaultBitsPerSecond = 1 << 20;  // UDP_RATE of iperf3

// Reads the parameters of a request, and those of its module for what the request leaves out.
// Keeps the first error.
class RequestReader {
 public:
  // All are borrowed until the end of Read or Check; the request keeps the module.
  RequestReader(const std::vector<QueryParameter>& parameters, ModulePointer module,
                const Iperf3Description& iperf3)
      : parameters_(parameters), iperf3_(iperf3) {
    request_.module = std::move(module);
  }

  tl::expected<ProbeRequest, ParameterError> Read() {
    CheckOverrides();
    ReadTarget();
    ReadMaxAge();
    ReadTest();
    RequireAuthentication();
    request_.ignored_parameters = ListUnknown(parameters_);
    if (!error_) return std::move(request_);
    error_->expected += SetByModule(error_->name);
    error_->target = request_.target;
    if (!request_.target.empty() && !request_.ports.empty()) error_->port = request_.ports.front();
    return tl::unexpected(std::move(*error_));
  }

  // Of a module alone, without a target.
  std::optional<ParameterError> Check() {
    ReadPorts({});
    RefusePortsOfModule();
    ReadTest();
    const ModuleParameter* period = module().Find("period");
    if (period != nullptr && IsDefaultPeriod(period->name, period->value)) {
      Refuse("period", "must be above 0 in a module", period->value);
    }
    RequireAuthentication();
    return std::move(error_);
  }

 private:
  TestOptions& test() { return request_.test; }
  const Module& module() const { return *request_.module; }

  // The first one in the URL of the row `name`, by its name or alias; nullptr if it is absent or
  // empty.
  const QueryParameter* FindInUrl(std::string_view name) const {
    const TestOption* option = FindTestOption(name);
    const auto found = std::ranges::find_if(parameters_, [option](const QueryParameter& parameter) {
      return FindTestOption(parameter.name) == option;
    });
    return found == parameters_.end() || found->value.empty() ? nullptr : &*found;
  }

  // The value of the URL, otherwise of the module; empty if both leave it out.
  std::string_view Value(std::string_view name) const {
    const QueryParameter* in_url = FindInUrl(name);
    if (in_url != nullptr && !IsDefaultPeriod(name, in_url->value)) return in_url->value;
    const ModuleParameter* parameter = module().Find(name);
    return parameter == nullptr ? std::string_view() : parameter->value;
  }

  // 0 in any spelling.
  static bool IsDefaultPeriod(std::string_view name, std::string_view value) {
    TestOptions test{.period_seconds = 0};
    return name == "period" && ParseOption(*FindTestOption(name), value, test) &&
           test.period_seconds == 0;
  }

  // For a refusal of a value that the client did not give.
  std::string SetByModule(std::string_view name) const {
    const TestOption* option = FindTestOption(name);
    const bool is_set = option != nullptr && FindInUrl(option->name) == nullptr &&
                        module().Find(option->name) != nullptr;
    return is_set ? " (module " + QuoteText(module().name, kMaxQuotedValueBytes) + " sets it)" : "";
  }

  void Refuse(std::string_view name, std::string_view expected, std::string_view value) {
    if (error_) return;
    error_ = {
        .name = std::string(name), .expected = std::string(expected), .value = std::string(value)};
  }

  // With a module, a URL gives only what is allowed: otherwise a misspelt parameter would be
  // ignored, and the result taken for that of another test.
  void CheckOverrides() {
    if (!module().overrides) return;
    for (const QueryParameter& parameter : parameters_) {
      const TestOption* option = FindTestOption(parameter.name);
      if (option != nullptr &&
          (!IsModuleParameter(*option) || module().AllowsOverride(option->name))) {
        continue;
      }
      std::vector<std::string> allowed = {"target"};
      if (module().AllowsOverride("port")) allowed.emplace_back("port");
      allowed.emplace_back("max_age");
      std::ranges::copy_if(*module().overrides, std::back_inserter(allowed),
                           [](const std::string& name) { return name != "port"; });
      return Refuse(parameter.name,
                    "must not be given with module " +
                        QuoteText(module().name, kMaxQuotedValueBytes) +
                        ", which lets a URL give only " + Join(allowed, ", "),
                    parameter.value);
    }
  }

  void ReadTarget() {
    const std::string_view value = Value("target");
    if (value.empty()) {
      Refuse("target", "must be specified: a host name or an IP address", value);
    }
    const auto [host_text, rest] = SplitHostPort(value);
    const auto host = ParseHost(host_text);
    const std::string_view port = rest.empty() ? rest : rest.substr(1);
    const bool takes_port = PortInUrl().empty() && module().AllowsOverride("port");
    if (!host || (!rest.empty() && (!ParseUnsigned(port, 1, UINT16_MAX) || !takes_port))) {
      Refuse("target",
             "must be a host name, an IPv4 address or an IPv6 address, at most 253 bytes, with "
             ":port only if 'port' is not given and the module lets a URL choose the port",
             value);
      return;
    }
    if (host->address && host->address->scope_id != 0 && !IsLinkLocal(*host->address)) {
      Refuse("target", "must be a link-local address to have a zone", value);
    }
    request_.target = host_text;
    request_.host = *host;
    ReadPorts(port);
  }

  void ReadMaxAge() {
    const std::string_view value = Value("max_age");
    if (value.empty()) return;
    const auto age = ParseMaxAge(value);
    if (!age) return Refuse("max_age", age.error().message, value);
    request_.max_age = *age;
  }

  // Empty: not given, like 0.
  std::string_view PortInUrl() const {
    const QueryParameter* port = FindInUrl("port");
    return port == nullptr || port->value == "0" ? std::string_view() : port->value;
  }

  // `target_port`: from the target; empty: none.
  void ReadPorts(std::string_view target_port) {
    const ModuleParameter* of_module = module().Find("port");
    std::string_view value = target_port.empty() ? PortInUrl() : target_port;
    if (value.empty() && of_module != nullptr) value = of_module->value;
    if (value.empty()) return;
    if (auto ports = ParsePortList(value)) {
      request_.ports = std::move(*ports);
      return;
    }
    request_.ports.clear();
    Refuse(
        "port",
        "must be an integer from 1 to 65535, or a range or list of up to 16 such as 5201-5208 or "
        "5201,5301",
        value);
  }

  // Otherwise every probe of the module would be refused.
  void RefusePortsOfModule() {
    if (module().Find("port") == nullptr) return;
    for (const std::uint16_t port : request_.ports) {
      if (module().target_policy.AllowsPort(port)) continue;
      return Refuse("port", "must be in --probe.allow-port", std::to_string(port));
    }
  }

  void ReadTest() {
    ReadIpVersion();
    if (const ParameterLimit* limit = module().FindLimit("period")) {
      test().period_seconds =
          static_cast<std::uint32_t>(std::min<std::uint64_t>(test().period_seconds, limit->max));
    }
    for (const TestOption& option : kTestOptions) ReadOption(option);
    LimitBitrate();
    RequireIpv4ForDontFragment();
    ReadBind();
    CheckDefects();
  }

  void ReadIpVersion() {
    const std::string_view value = Value("ip_version");
    if (value.empty()) return;
    if (value != "4" && value != "6") return Refuse("ip_version", "must be 4 or 6", value);
    request_.ip_version = value == "4" ? IpVersion::kV4 : IpVersion::kV6;
    const HostKind excluded = value == "4" ? HostKind::kV6 : HostKind::kV4;
    if (request_.host.kind == excluded) {
      Refuse("ip_version", "must agree with the address in 'target'", value);
    }
  }

  void ReadOption(const TestOption& option) {
    const std::string_view value = Value(option.name);
    const ParameterLimit* limit = module().FindLimit(option.name);
    const std::uint64_t max = limit == nullptr ? UINT64_MAX : limit->max;
    if (const Status status = ParseOption(option, value, test(), max); !status) {
      // A value that is accepted without the limit is refused because of it.
      const bool is_beyond_limit =
          limit != nullptr && ParseOption(option, value, test()).has_value();
      return Refuse(option.name, status.error().message + (is_beyond_limit ? SourceOf(*limit) : ""),
                    value);
    }
    if (IsSet(option, test())) RequireSupport(option, option.name, value);
  }

  static std::string SourceOf(const ParameterLimit& limit) { return " (" + limit.source + ")"; }

  void RequireSupport(const TestOption& option, std::string_view name, std::string_view value) {
    if (HasOption(iperf3_.capabilities, option)) return;
    Refuse(name,
           "requires an iperf3 that supports " + std::string(option.help_word) +
               "; the installed one is version " + QuoteText(iperf3_.version, kMaxVersionTextBytes),
           value);
  }

  // Refuses a higher bitrate than the limit, and sets one if iperf3's default would exceed it.
  void LimitBitrate() {
    const ParameterLimit* limit = module().FindLimit("bitrate");
    if (limit == nullptr) return;
    const std::uint64_t streams = CountStreams(test());
    const std::uint64_t share = limit->max / streams;
    auto& bitrate = test().bitrate_bits_per_second;
    if (bitrate && (*bitrate == 0 || *bitrate > share)) {
      Refuse("bitrate",
             std::string("must be ") + (*bitrate == 0 ? "above 0 and " : "") + "at most " +
                 FormatBitrate(share) +
                 (streams == 1 ? "" : " per stream with " + std::to_string(streams) + " streams") +
                 SourceOf(*limit),
             Value("bitrate"));
    } else if (!bitrate &&
               (test().protocol == Protocol::kTcp || share < kUdpDefaultBitsPerSecond)) {
      bitrate = std::max<std::uint64_t>(1, share);
    }
    // iperf3 sends a burst at full speed: up to 1000 blocks per stream, whatever the bitrate is.
    if (test().burst_packets) {
      Refuse("bitrate", "must have no burst, because the bitrate is limited" + SourceOf(*limit),
             Value("bitrate"));
    }
  }

  // iperf3 ignores the option over IPv6.
  void RequireIpv4ForDontFragment() {
    if (!test().dont_fragment) return;
    if (request_.host.kind == HostKind::kV6 || request_.ip_version == IpVersion::kV6) {
      Refuse("dont_fragment", "must be true only over IPv4", Value("dont_fragment"));
    }
    request_.ip_version = IpVersion::kV4;
  }

  // `address%device` is iperf3's own form of -B.
  void ReadBind() {
    const QueryParameter* in_url = FindInUrl("bind_address");
    const std::string name = in_url == nullptr ? "bind_address" : in_url->name;
    const std::string_view value = Value("bind_address");
    if (value.empty()) return;
    std::string_view text = value;
    const std::size_t percent = text.find('%');
    const auto address = ParseIpAddress(std::string(text.substr(0, percent)));
    if (percent != std::string_view::npos && address && !IsLinkLocal(*address)) {
      ReadDeviceOfBind(name, value, text.substr(percent + 1));
      text = text.substr(0, percent);
    }
    request_.bind = ParseHost(text);
    if (!request_.bind) {
      return Refuse(name, "must be an IP address or a host name, or ADDRESS%DEVICE", value);
    }
    const HostKind excluded = request_.ip_version == IpVersion::kV4 ? HostKind::kV6 : HostKind::kV4;
    if (request_.ip_version != IpVersion::kAny && request_.bind->kind == excluded) {
      Refuse(name, "must have the IP version of 'ip_version' and 'dont_fragment'", value);
    }
  }

  void ReadDeviceOfBind(std::string_view name, std::string_view value, std::string_view device) {
    const TestOption& option = *FindTestOption("bind_device");
    const std::string other = std::exchange(test().bind_device, {});
    const Status status = ParseOption(option, device, test());
    if (!status || device.empty() || (!other.empty() && other != device)) {
      return Refuse(name,
                    "must be an IP address or a host name, or ADDRESS%DEVICE; DEVICE must match "
                    "'bind_device' if both are given",
                    value);
    }
    const bool is_of_url = FindInUrl("bind_address") != nullptr;
    if (is_of_url && other != device && !module().AllowsOverride(option.name)) {
      return Refuse(name, "must have no %DEVICE, because the module does not let a URL choose it",
                    value);
    }
    RequireSupport(option, name, value);
  }

  void RequireAuthentication() {
    if (!module().auth || iperf3_.capabilities.authentication) return;
    Refuse("module",
           "requires an iperf3 with authentication (built with OpenSSL); the installed one is "
           "version " +
               QuoteText(iperf3_.version, kMaxVersionTextBytes),
           {});
  }

  void CheckDefects() {
    const Iperf3Defect* defect = FindDefect(iperf3_.version, test());
    if (defect == nullptr) return;
    Refuse(defect->parameter,
           "can't be used with the installed iperf3, version " +
               QuoteText(iperf3_.version, kMaxVersionTextBytes) + ": " +
               std::string(defect->description),
           Value(defect->parameter));
  }

  const std::vector<QueryParameter>& parameters_;
  const Iperf3Description& iperf3_;
  std::optional<ParameterError> error_;
  ProbeRequest request_;
};

}  // namespace

tl::expected<ProbeRequest, ParameterError> ReadRequest(
    const std::vector<QueryParameter>& parameters, ModulePointer module,
    const Iperf3Description& iperf3) {
  return RequestReader(parameters, std::move(module), iperf3).Read();
}

std::optional<ParameterError> CheckModule(ModulePointer module, const Iperf3Description& iperf3) {
  return RequestReader({}, std::move(module), iperf3).Check();
}

}  // namespace iperf3_exporter
