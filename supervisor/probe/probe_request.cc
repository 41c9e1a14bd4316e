#include "supervisor/probe/probe_request.h"

#include <algorithm>
#include <array>
#include <set>
#include <utility>

#include "common/go_duration.h"
#include "common/net/host_text.h"
#include "common/quoted_text.h"
#include "common/text.h"
#include "supervisor/probe/iperf3_units.h"
#include "supervisor/probe/parameter_reader.h"
#include "supervisor/probe/query_string.h"

namespace iperf3_exporter {
namespace {

constexpr std::uint16_t kFirstUnprivilegedPort = 1024;
constexpr std::array<std::string_view, 21> kParameterNames = {
    "target", "port",         "reverse_mode", "udp_mode",   "bidirectional", "bitrate",  "period",
    "bind",   "bind_address", "bind_device",  "parallel",   "omit",          "window",   "mss",
    "length", "congestion",   "dscp",         "ip_version", "cport",         "no_delay", "zerocopy",
};

constexpr std::chrono::seconds kDefaultPeriod{5};
constexpr std::uint64_t kMaxOmitSeconds = 60;                  // MAX_OMIT_TIME of iperf3 3.12
constexpr std::uint64_t kMaxWindowBytes = 512ULL << 20;        // MAX_TCP_BUFFER of iperf3
constexpr std::uint64_t kMinMssBytes = 88;                     // TCP_MIN_MSS of Linux
constexpr std::uint64_t kMaxMssBytes = 9216;                   // MAX_MSS of iperf3
constexpr std::uint64_t kMaxTcpBlockBytes = 1ULL << 20;        // MAX_BLOCKSIZE of iperf3
constexpr std::uint64_t kMinUdpBlockBytes = 16;                // MIN_UDP_BLOCKSIZE of iperf3
constexpr std::uint64_t kMaxUdpBlockBytes = 65507;             // a UDP datagram over IPv4
constexpr std::uint64_t kUdpDefaultBitsPerSecond = 1'000'000;  // iperf3's own
constexpr std::size_t kMaxInterfaceNameBytes = 15;             // IFNAMSIZ less the final NUL
constexpr std::size_t kMaxCongestionBytes = 15;                // TCP_CA_NAME_MAX less the final NUL

class RequestReader : private ParameterReader {
 public:
  RequestReader(const std::vector<QueryParameter>& parameters, const ProbeLimits& limits,
                const Iperf3Capabilities& capabilities, std::string_view version)
      : ParameterReader(parameters, version), limits_(limits), capabilities_(capabilities) {}

  RequestResult<ProbeRequest> Read() {
    ReadTarget();
    ReadModes();
    ReadTimes();
    ReadBitrate();
    ReadBinding();
    ReadSocketOptions();
    CollectIgnored();
    if (fault()) return tl::unexpected(BadRequest{*fault()});
    return std::move(request_);
  }

 private:
  void ReadTarget() {
    const std::string_view value = Value("target");
    if (value.empty()) {
      RefuseWith("'target' parameter must be specified: a host name or an IP address");
    }
    const auto host = ParseHostText(value);
    if (!host) {
      Refuse("target", "must be a host name, an IPv4 address or an IPv6 address, at most 253 bytes",
             value);
      return;
    }
    request_.target = value;
    request_.host = host->text;
    ReadIpVersion(host->form);
    if (Value("port") != "0") {
      request_.port = Integer<std::uint16_t>("port", 1, UINT16_MAX).value_or(request_.port);
    }
  }

  void ReadIpVersion(HostForm form) {
    const std::string_view value = Value("ip_version");
    if (value.empty()) return;
    if (value != "4" && value != "6") {
      Refuse("ip_version", "must be 4 or 6", value);
      return;
    }
    request_.ip_version = value == "4" ? IpVersion::kV4 : IpVersion::kV6;
    const HostForm excluded = value == "4" ? HostForm::kV6 : HostForm::kV4;
    if (form == excluded) Refuse("ip_version", "must agree with the address in 'target'", value);
  }

  void ReadModes() {
    const bool reverse = Bool("reverse_mode");
    const bool bidirectional = Bool("bidirectional");
    if (Bool("udp_mode")) request_.test.protocol = Protocol::kUdp;
    if (reverse) request_.test.direction = Direction::kDownload;
    if (!bidirectional) return;
    request_.test.direction = Direction::kBidirectional;
    Need(capabilities_.bidirectional, "bidirectional", "--bidir");
    if (reverse) {
      Refuse("bidirectional", "must not be true together with 'reverse_mode'",
             Value("bidirectional"));
    }
  }

  void ReadTimes() {
    using std::chrono::ceil;
    using std::chrono::seconds;
    seconds period = std::min(kDefaultPeriod, limits_.max_period);
    const std::string_view value = Value("period");
    if (!value.empty()) {
      const auto asked = ParseGoDuration(value);
      if (!asked || asked->count() < 0 || *asked > limits_.max_period) {
        Refuse("period",
               "must be a duration such as 10s or 1m30s, from 0 to " +
                   FormatGoDuration(limits_.max_period),
               value);
      } else if (asked->count() > 0) {
        period = ceil<seconds>(*asked);
      }
    }
    request_.test.period_seconds = static_cast<std::uint32_t>(period.count());
    ReadOmit();
  }

  // iperf3 takes whole seconds; a duration is taken too, rounded up as the period is.
  void ReadOmit() {
    const std::string_view value = Value("omit");
    if (value.empty()) return;
    std::optional<std::uint64_t> omit = ParseInteger(value, 0, kMaxOmitSeconds);
    if (const auto duration = ParseGoDuration(value); !omit && duration && duration->count() >= 0) {
      omit = static_cast<std::uint64_t>(std::chrono::ceil<std::chrono::seconds>(*duration).count());
    }
    if (!omit || *omit > kMaxOmitSeconds) {
      Refuse("omit",
             "must be whole seconds or a duration, from 0 to " + std::to_string(kMaxOmitSeconds),
             value);
      return;
    }
    request_.test.omit_seconds = static_cast<std::uint32_t>(*omit);
  }

  void ReadBitrate() {
    TestOptions& test = request_.test;
    test.parallel = Integer<std::uint32_t>("parallel", 1, limits_.max_parallel).value_or(1);
    const std::string_view value = Value("bitrate");
    if (value.empty()) {
      LimitDefaultBitrate();
      return;
    }
    const auto bitrate = ParseBitrate(value);
    if (!bitrate) {
      RefuseBitrate("bits per second, 0 for unlimited, and 1 to 1000 packets in a burst", value);
      return;
    }
    const auto& most = limits_.max_bitrate_bits_per_second;
    if (most && (bitrate->bits_per_second == 0 || bitrate->bits_per_second > *most / Streams())) {
      RefuseBitrate("at most " + std::to_string(*most) + " bits per second over all streams",
                    value);
    }
    test.bitrate_bits_per_second = bitrate->bits_per_second;
    test.burst_packets = bitrate->burst_packets;
  }

  // Begins with the Go exporter's words for this fault.
  void RefuseBitrate(const std::string& takes, std::string_view value) {
    RefuseWith("bitrate must provided as #[KMGT][/#]: " + takes + ", got " +
               QuoteText(value, kMaxQuotedValueBytes));
  }

  // iperf3's own default is no limit for TCP; the operator's bound holds there too.
  void LimitDefaultBitrate() {
    const auto& most = limits_.max_bitrate_bits_per_second;
    if (!most) return;
    const std::uint64_t share = std::max<std::uint64_t>(1, *most / Streams());
    if (request_.test.protocol == Protocol::kTcp || share < kUdpDefaultBitsPerSecond) {
      request_.test.bitrate_bits_per_second = share;
    }
  }

  void ReadBinding() {
    const std::string_view bind = Value("bind_address", "bind");
    if (!bind.empty()) {
      const auto host = ParseHostText(bind);
      if (host) {
        request_.bind = host->text;
        request_.test.bind_address = ParseIpAddress(host->text);
      } else {
        Refuse(Value("bind_address").empty() ? "bind" : "bind_address",
               "must be an IP address or a host name", bind);
      }
    }
    const std::string_view device = Value("bind_device");
    if (device.empty()) return;
    if (device.size() > kMaxInterfaceNameBytes || device.front() == '-' || device.front() == '.' ||
        !HasOnlyAlnumOr(device, ".-_@")) {
      Refuse("bind_device", "must be the name of a network interface, at most 15 bytes", device);
      return;
    }
    Need(capabilities_.bind_device, "bind_device", "--bind-dev");
    request_.test.bind_device = device;
  }

  void ReadSocketOptions() {
    TestOptions& test = request_.test;
    const bool udp = test.protocol == Protocol::kUdp;
    test.window_bytes = ByteCount("window", 1, kMaxWindowBytes);
    test.mss_bytes = Integer<std::uint32_t>("mss", kMinMssBytes, kMaxMssBytes);
    const auto length = ByteCount("length", udp ? kMinUdpBlockBytes : 1,
                                  udp ? kMaxUdpBlockBytes : kMaxTcpBlockBytes);
    if (length) test.length_bytes = static_cast<std::uint32_t>(*length);
    ReadCongestion();
    ReadDscp();
    ReadClientPort();
    if (test.client_port) Need(capabilities_.client_port, "cport", "--cport");
    test.no_delay = Bool("no_delay");
    test.zerocopy = Bool("zerocopy");
    if (test.zerocopy) Need(capabilities_.zerocopy, "zerocopy", "--zerocopy");
  }

  [[nodiscard]] std::uint32_t Streams() const {
    const TestOptions& test = request_.test;
    return test.parallel * (test.direction == Direction::kBidirectional ? 2 : 1);
  }

  // Each stream takes the next port, and iperf3 has no right to those below 1024.
  void ReadClientPort() {
    TestOptions& test = request_.test;
    const auto last = static_cast<std::uint16_t>(UINT16_MAX - (Streams() - 1));
    test.client_port = Integer<std::uint16_t>("cport", kFirstUnprivilegedPort, last);
  }

  void ReadCongestion() {
    const std::string_view value = Value("congestion");
    if (value.empty()) return;
    const bool lower =
        std::none_of(value.begin(), value.end(), [](char c) { return c >= 'A' && c <= 'Z'; });
    if (value.size() > kMaxCongestionBytes || value.front() == '-' || !lower ||
        !HasOnlyAlnumOr(value, "_-")) {
      Refuse("congestion", "must be the name of a congestion control algorithm such as cubic",
             value);
      return;
    }
    Need(capabilities_.congestion, "congestion", "--congestion");
    request_.test.congestion = value;
  }

  void ReadDscp() {
    const std::string_view value = Value("dscp");
    if (value.empty()) return;
    request_.test.dscp = ParseDscp(value);
    if (!request_.test.dscp) {
      Refuse("dscp", "must be 0 to 63 or a class such as cs1, af41, ef", value);
      return;
    }
    Need(capabilities_.dscp, "dscp", "--dscp");
  }

  void CollectIgnored() {
    std::set<std::string_view> ignored;
    for (const QueryParameter& parameter : parameters()) {
      if (std::find(kParameterNames.begin(), kParameterNames.end(), parameter.name) !=
          kParameterNames.end()) {
        continue;
      }
      if (ignored.insert(parameter.name).second) {
        request_.ignored_parameters.emplace_back(parameter.name);
      }
    }
  }

  const ProbeLimits& limits_;
  const Iperf3Capabilities& capabilities_;
  ProbeRequest request_;
};

}  // namespace

RequestResult<ProbeRequest> ParseProbeRequest(std::string_view query, const ProbeLimits& limits,
                                              const Iperf3Capabilities& capabilities,
                                              std::string_view version) {
  auto parameters = ParseQuery(query);
  if (!parameters) return tl::unexpected(BadRequest{std::move(parameters.error().message)});
  return RequestReader(*parameters, limits, capabilities, version).Read();
}

}  // namespace iperf3_exporter
