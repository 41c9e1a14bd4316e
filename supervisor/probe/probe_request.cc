#include "supervisor/probe/probe_request.h"

#include <algorithm>
#include <set>
#include <utility>

#include "common/go_duration.h"
#include "common/iperf3/defects.h"
#include "common/iperf3/option_text.h"
#include "common/quoted_text.h"
#include "common/text.h"
#include "common/wire/job.h"
#include "supervisor/probe/query_string.h"

namespace iperf3_exporter {
namespace {

constexpr std::uint64_t kUdpDefaultBitsPerSecond = 1'000'000;  // iperf3's own

const TestOption& FindOption(std::string_view name) {
  return *std::ranges::find(kTestOptions, name, &TestOption::name);
}

bool IsKnownParameter(std::string_view name) {
  return std::ranges::any_of(kTestOptions, [name](const TestOption& option) {
    return name == option.name || (!option.alias.empty() && name == option.alias);
  });
}

// As ParseBitrate reads it, exactly: "12.5M", "33333.333K", "1001".
std::string FormatBitrate(std::uint64_t bits_per_second) {
  for (const auto& [unit, letter] :
       {std::pair<std::uint64_t, char>{1'000'000'000, 'G'}, {1'000'000, 'M'}, {1000, 'K'}}) {
    const std::uint64_t thousandths = bits_per_second / (unit / 1000);
    if (bits_per_second < unit || thousandths * (unit / 1000) != bits_per_second) continue;
    std::string text = std::to_string(thousandths / 1000);
    if (const std::uint64_t rest = thousandths % 1000; rest != 0) {
      text += "." + std::to_string(1000 + rest).substr(1);
      text.erase(text.find_last_not_of('0') + 1);
    }
    return text + letter;
  }
  return std::to_string(bits_per_second);
}

// Reads the parameters and keeps the first error.
class RequestReader {
 public:
  RequestReader(const std::vector<QueryParameter>& parameters, const ProbeLimits& limits,
                const Iperf3Capabilities& capabilities, std::string_view version)
      : parameters_(parameters), limits_(limits), capabilities_(capabilities), version_(version) {}

  ParsedRequest Read() {
    ReadTarget();
    ReadIpVersion();
    const auto max_period = static_cast<std::uint32_t>(limits_.max_period.count());
    test().period_seconds = std::min(test().period_seconds, max_period);
    for (const TestOption& option : kTestOptions) ReadOption(option);
    LimitBitrate();
    RefuseBurstWithLimit();
    RequireIpv4ForDontFragment();
    ReadBind();
    CheckDefects();
    CollectIgnored();
    if (error_) {
      const std::uint16_t port = request_.target.empty() ? 0 : request_.port;
      return tl::unexpected(
          Refusal{RefusalReason::kBadRequest, std::move(*error_), request_.target, port});
    }
    return std::move(request_);
  }

 private:
  TestOptions& test() { return request_.test; }

  // The first parameter of that name; nullptr if it is absent or empty.
  const QueryParameter* Find(std::string_view name, std::string_view alias = {}) const {
    const auto found = std::ranges::find_if(parameters_, [&](const QueryParameter& parameter) {
      return parameter.name == name || (!alias.empty() && parameter.name == alias);
    });
    return found == parameters_.end() || found->value.empty() ? nullptr : &*found;
  }

  std::string_view Value(std::string_view name) const {
    const QueryParameter* parameter = Find(name);
    return parameter == nullptr ? std::string_view() : parameter->value;
  }

  void Refuse(std::string_view name, std::string_view expected, std::string_view value) {
    if (!error_) error_ = ParameterErrorText(name, expected, value);
  }

  void ReadTarget() {
    const std::string_view value = Value("target");
    if (value.empty() && !error_) {
      error_ = "'target' parameter must be specified: a host name or an IP address";
    }
    const std::string_view port = Value("port") == "0" ? std::string_view() : Value("port");
    const auto [host_text, rest] = SplitHostPort(value);
    const auto host = ParseHost(host_text);
    const auto target_port = ParseUnsigned(rest.empty() ? rest : rest.substr(1), 1, UINT16_MAX);
    if (!host || (!rest.empty() && (!target_port || !port.empty()))) {
      Refuse("target",
             "must be a host name, an IPv4 address or an IPv6 address, at most 253 bytes, with "
             ":port only if 'port' is not given",
             value);
      return;
    }
    if (host->address && host->address->scope_id != 0 && !IsLinkLocal(*host->address)) {
      Refuse("target", "must be a link-local address to have a zone", value);
    }
    request_.target = host_text;
    request_.host = *host;
    if (target_port) request_.port = static_cast<std::uint16_t>(*target_port);
    if (port.empty()) return;
    const auto number = ParseBoundedInteger(port, {1, UINT16_MAX});
    request_.port = static_cast<std::uint16_t>(number.value_or(0));
    if (!number) Refuse("port", number.error().message, port);
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

  struct Limit {
    std::uint64_t max = UINT64_MAX;
    std::string flag;  // for a refusal
  };

  Limit LimitOf(std::string_view option) const {
    if (option == "period") {
      return {static_cast<std::uint64_t>(limits_.max_period.count()),
              " (--probe.max-period=" + FormatGoDuration(limits_.max_period) + ")"};
    }
    if (option == "parallel") {
      return {limits_.max_parallel,
              " (--probe.max-parallel=" + std::to_string(limits_.max_parallel) + ")"};
    }
    return {};
  }

  void ReadOption(const TestOption& option) {
    const std::string_view value = Value(option.name);
    const Limit limit = LimitOf(option.name);
    if (const Status status = ParseOption(option, value, test(), limit.max); !status) {
      // A value that is accepted without the limit is refused because of the flag.
      const bool is_beyond_limit = ParseOption(option, value, test()).has_value();
      return Refuse(option.name, status.error().message + (is_beyond_limit ? limit.flag : ""),
                    value);
    }
    if (IsSet(option, test())) RequireSupport(option, option.name, value);
  }

  void RequireSupport(const TestOption& option, std::string_view name, std::string_view value) {
    if (HasOption(capabilities_, option)) return;
    Refuse(name,
           "requires an iperf3 that supports " + std::string(option.help_word) +
               "; the installed one is version " + QuoteText(version_, kMaxVersionTextBytes),
           value);
  }

  // Refuses a higher bitrate than the limit, and sets one if iperf3's default would exceed it.
  void LimitBitrate() {
    if (!limits_.max_bitrate_bits_per_second) return;
    const std::uint64_t max = *limits_.max_bitrate_bits_per_second;
    const std::uint64_t streams = CountStreams(test());
    const std::uint64_t share = max / streams;
    auto& bitrate = test().bitrate_bits_per_second;
    if (bitrate && (*bitrate == 0 || *bitrate > share)) {
      Refuse("bitrate",
             std::string("must be ") + (*bitrate == 0 ? "above 0 and " : "") + "at most " +
                 FormatBitrate(share) +
                 (streams == 1 ? "" : " per stream with " + std::to_string(streams) + " streams") +
                 " (--probe.max-bitrate=" + FormatBitrate(max) + ")",
             Value("bitrate"));
    } else if (!bitrate &&
               (test().protocol == Protocol::kTcp || share < kUdpDefaultBitsPerSecond)) {
      bitrate = std::max<std::uint64_t>(1, share);
    }
  }

  // iperf3 sends a burst at full speed: up to 1000 blocks per stream, whatever the bitrate is.
  void RefuseBurstWithLimit() {
    if (!limits_.max_bitrate_bits_per_second || !test().burst_packets) return;
    Refuse("bitrate", "must have no burst, because --probe.max-bitrate is set", Value("bitrate"));
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
    const QueryParameter* bind = Find("bind_address", "bind");
    if (bind == nullptr) return;
    std::string_view text = bind->value;
    const std::size_t percent = text.find('%');
    const auto address = ParseIpAddress(std::string(text.substr(0, percent)));
    if (percent != std::string_view::npos && address && !IsLinkLocal(*address)) {
      ReadDeviceOfBind(*bind, text.substr(percent + 1));
      text = text.substr(0, percent);
    }
    request_.bind = ParseHost(text);
    if (!request_.bind) {
      Refuse(bind->name, "must be an IP address or a host name, or ADDRESS%DEVICE", bind->value);
    }
  }

  void ReadDeviceOfBind(const QueryParameter& bind, std::string_view device) {
    const TestOption& option = FindOption("bind_device");
    const std::string other = std::exchange(test().bind_device, {});
    const Status status = ParseOption(option, device, test());
    if (!status || device.empty() || (!other.empty() && other != device)) {
      return Refuse(bind.name,
                    "must be an IP address or a host name, or ADDRESS%DEVICE; DEVICE must match "
                    "'bind_device' if both are given",
                    bind.value);
    }
    RequireSupport(option, bind.name, bind.value);
  }

  void CheckDefects() {
    const Iperf3Defect* defect = FindDefect(version_, test());
    if (defect == nullptr) return;
    Refuse(defect->parameter,
           "can't be used with the installed iperf3, version " +
               QuoteText(version_, kMaxVersionTextBytes) + ": " + std::string(defect->description),
           Value(defect->parameter));
  }

  void CollectIgnored() {
    std::set<std::string_view> ignored;
    for (const QueryParameter& parameter : parameters_) {
      if (!IsKnownParameter(parameter.name) && ignored.insert(parameter.name).second) {
        request_.ignored_parameters.push_back(parameter.name);
      }
    }
  }

  const std::vector<QueryParameter>& parameters_;
  const ProbeLimits& limits_;
  const Iperf3Capabilities& capabilities_;
  const std::string_view version_;
  std::optional<std::string> error_;
  ProbeRequest request_;
};

}  // namespace

ParsedRequest ParseProbeRequest(std::string_view query, const ProbeLimits& limits,
                                const Iperf3Capabilities& capabilities, std::string_view version) {
  const auto parameters = ParseQuery(query);
  if (!parameters) {
    return tl::unexpected(Refusal{RefusalReason::kBadRequest, parameters.error().message});
  }
  return RequestReader(*parameters, limits, capabilities, version).Read();
}

}  // namespace iperf3_exporter
