#include "common/wire/option_fields.h"

#include <algorithm>

#include "common/text.h"

namespace iperf3_exporter::wire {
namespace {

static_assert(kTestOptions.size() <= 64);

class OptionWriter {
 public:
  OptionWriter(Writer& out, const TestOptions& test) : out_(out), test_(test) {}

  void operator()(const RequestValue&) const {}
  void operator()(const FlagOption& flag) const { PutBool(test_.*flag.member); }
  template <typename Enum>
  void operator()(const ModeOption<Enum>& mode) const {
    PutBool(test_.*mode.member == mode.value);
  }
  void operator()(const NumberOption& number) const { out_.PutOptional(GetNumber(number, test_)); }
  void operator()(const BitrateOption&) const {
    out_.PutOptional(test_.bitrate_bits_per_second);
    out_.PutOptional(test_.burst_packets);
  }
  void operator()(const NameOption& name) const {
    out_.PutText(test_.*name.member, kMaxKernelNameBytes);
  }

 private:
  void PutBool(bool value) const { out_.Put(static_cast<std::uint8_t>(value)); }

  Writer& out_;
  const TestOptions& test_;
};

class OptionReader {
 public:
  OptionReader(Reader& in, const char* field, TestOptions& test)
      : in_(in), field_(field), test_(test) {}

  void operator()(const RequestValue&) const {}
  void operator()(const FlagOption& flag) const { test_.*flag.member = in_.GetBool(field_); }
  template <typename Enum>
  void operator()(const ModeOption<Enum>& mode) const {
    if (!in_.GetBool(field_)) return;
    in_.Require(test_.*mode.member == Enum{}, field_);
    test_.*mode.member = mode.value;
  }
  void operator()(const NumberOption& number) const {
    const auto value = in_.GetOptional<std::uint64_t>(field_);
    const Bounds bounds = BoundsOf(number, test_);
    if (value) {
      in_.Require(*value >= bounds.min && *value <= bounds.max, field_);
      SetNumber(number, *value, test_);
    }
  }
  void operator()(const BitrateOption&) const {
    test_.bitrate_bits_per_second = in_.GetOptional<std::uint64_t>(field_);
    in_.Require(test_.bitrate_bits_per_second.value_or(0) <= kMaxBitsPerSecond64, field_);
    test_.burst_packets = in_.GetOptional<std::uint64_t>(field_);
    const std::uint64_t burst = test_.burst_packets.value_or(1);
    in_.Require(burst >= 1 && burst <= kMaxBurstPackets, field_);
  }
  void operator()(const NameOption& name) const {
    std::string& text = test_.*name.member;
    text = in_.GetText(field_, kMaxKernelNameBytes);
    in_.Require(text.empty() || IsValidName(name, text), field_);
  }

 private:
  Reader& in_;
  const char* field_;
  TestOptions& test_;
};

}  // namespace

void PutAddress(Writer& out, const IpAddress& address) {
  out.Put(static_cast<std::uint8_t>(address.is_v6));
  for (const std::uint8_t byte : address.bytes) out.Put(byte);
  out.Put(address.scope_id);
}

IpAddress GetAddress(Reader& in, const char* field) {
  IpAddress address;
  address.is_v6 = in.GetBool(field);
  for (std::uint8_t& byte : address.bytes) byte = in.Get<std::uint8_t>(field);
  address.scope_id = in.Get<std::uint32_t>(field);
  return address;
}

void PutTest(Writer& out, const TestOptions& test) {
  for (const TestOption& option : kTestOptions) std::visit(OptionWriter(out, test), option.kind);
  out.Put(static_cast<std::uint8_t>(test.bind_address.has_value()));
  PutAddress(out, test.bind_address.value_or(IpAddress{}));
}

TestOptions GetTest(Reader& in) {
  TestOptions test;
  for (const TestOption& option : kTestOptions) {
    std::visit(OptionReader(in, option.name.data(), test), option.kind);
  }
  in.Require(test.period_seconds != 0, "period");
  const bool bound = in.GetBool("bind_address");
  const IpAddress bind_address = GetAddress(in, "bind_address");
  if (bound) test.bind_address = bind_address;
  return test;
}

void PutCapabilities(Writer& out, const Iperf3Capabilities& capabilities) {
  out.Put(static_cast<std::uint64_t>(capabilities.options.to_ullong()));
  out.Put(static_cast<std::uint8_t>(capabilities.connect_timeout));
  out.Put(static_cast<std::uint8_t>(capabilities.udp_counters_64bit));
}

Iperf3Capabilities GetCapabilities(Reader& in) {
  Iperf3Capabilities capabilities;
  const auto options = in.Get<std::uint64_t>("capabilities");
  capabilities.options = options;
  in.Require(capabilities.options.to_ullong() == options, "capabilities");
  capabilities.connect_timeout = in.GetBool("capabilities");
  capabilities.udp_counters_64bit = in.GetBool("capabilities");
  return capabilities;
}

void PutIperf3(Writer& out, const Iperf3Description& iperf3) {
  out.PutText(iperf3.version, kMaxVersionTextBytes);
  PutCapabilities(out, iperf3.capabilities);
  const FileIdentity& program = iperf3.program;
  for (const std::uint64_t value : {program.device, program.inode, program.bytes}) out.Put(value);
  for (const std::int64_t value : {program.modified_ns, program.changed_ns}) out.Put(value);
}

Iperf3Description GetIperf3(Reader& in) {
  Iperf3Description iperf3;
  iperf3.version = in.GetText("iperf3 version", kMaxVersionTextBytes);
  in.Require(std::ranges::all_of(iperf3.version, IsPrintable), "iperf3 version");
  iperf3.capabilities = GetCapabilities(in);
  FileIdentity& program = iperf3.program;
  for (std::uint64_t* value : {&program.device, &program.inode, &program.bytes}) {
    *value = in.Get<std::uint64_t>("program");
  }
  for (std::int64_t* value : {&program.modified_ns, &program.changed_ns}) {
    *value = in.Get<std::int64_t>("program");
  }
  return iperf3;
}

}  // namespace iperf3_exporter::wire
