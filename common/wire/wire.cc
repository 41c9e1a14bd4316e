#include "common/wire/wire.h"

#include <algorithm>
#include <cstring>
#include <initializer_list>
#include <string_view>
#include <utility>

#include "common/program_file.h"
#include "common/text.h"
#include "common/wire/fields.h"

namespace iperf3_exporter::wire {
namespace {

static_assert(kTestOptions.size() <= 64);

enum class Type : std::uint16_t {
  kConfigure = 1,
  kRun,
  kCancel,
  kReady,
  kSetUpFailed,
  kStarted,
  kMeasured,  // Finished with a measurement
  kFailed,    // Finished with a failure
  kNotStarted,
};

constexpr std::uint32_t kMagic = 0x69706633;  // "ipf3"

// The beginning of every frame.
struct Header {
  std::uint32_t magic = kMagic;
  std::uint16_t version = kVersion;
  Type type{};
  std::uint32_t length = 0;  // of the whole frame
};
constexpr std::size_t kLengthOffset = 8;

constexpr std::chrono::seconds kMaxPeriod{kMaxPeriodSeconds};

// Carry(fields, x) writes x if `fields` is for writing, and otherwise reads it. `name` identifies a
// part of a message in errors.

void Carry(Fields& fields, const char* name, IpAddress& address) {
  fields.Bool(name, address.is_v6);
  for (std::uint8_t& byte : address.bytes) fields.Number(name, byte);
  fields.Number(name, address.scope_id);
}

// Carries one option of a test. Its value must be one that its row in kTestOptions accepts.
class OptionCarrier {
 public:
  OptionCarrier(Fields& fields, const char* name, TestOptions& test)
      : fields_(fields), name_(name), test_(test) {}

  // The supervisor resolves these. What a worker needs of them is carried separately.
  void operator()(const RequestValue&) const {}
  void operator()(const FlagOption& flag) const { fields_.Bool(name_, test_.*flag.member); }
  template <typename Enum>
  void operator()(const ModeOption<Enum>& mode) const {
    bool is_selected = test_.*mode.member == mode.value;
    fields_.Bool(name_, is_selected);
    if (!is_selected) return;
    fields_.Require(test_.*mode.member == Enum{}, name_);
    test_.*mode.member = mode.value;
  }
  void operator()(const NumberOption& number) const {
    auto value = GetNumber(number, test_);
    const Bounds bounds = BoundsOf(number, test_);
    fields_.OptionalNumber(name_, value, bounds.min, bounds.max);
    if (value) SetNumber(number, *value, test_);
  }
  void operator()(const BitrateOption&) const {
    fields_.OptionalNumber(name_, test_.bitrate_bits_per_second, 0, kMaxBitsPerSecond64);
    fields_.OptionalNumber(name_, test_.burst_packets, 1, kMaxBurstPackets);
  }
  void operator()(const NameOption& name) const {
    std::string& text = test_.*name.member;
    fields_.Text(name_, text, kMaxKernelNameBytes);
    fields_.Require(text.empty() || IsValidName(name, text), name_);
  }

 private:
  Fields& fields_;
  const char* name_;
  TestOptions& test_;
};

void Carry(Fields& fields, TestOptions& test) {
  for (const TestOption& option : kTestOptions) {
    std::visit(OptionCarrier(fields, option.name.data(), test), option.kind);
  }
  fields.Require(test.period_seconds != 0, "period");
  fields.Optional("bind_address", test.bind_address,
                  [&](IpAddress& address) { Carry(fields, "bind_address", address); });
}

void Carry(Fields& fields, JobTimes& times) {
  for (Deadline* time : {&times.lock_by, &times.not_before, &times.start_by, &times.end_by,
                         &times.terminate_at, &times.kill_at}) {
    auto since_epoch = time->time_since_epoch();
    fields.Time("time", since_epoch);
    *time = Deadline(since_epoch);
  }
  fields.Time("max overhead", times.max_overhead, {}, kMaxPeriod);
}

void Carry(Fields& fields, TestCredentials& credentials) {
  fields.Text("credentials", credentials.username, kMaxUsernameBytes);
  fields.Text("credentials", credentials.password, kMaxPasswordBytes);
  fields.Text("credentials", credentials.public_key, kMaxPublicKeyBytes);
  fields.Bool("credentials", credentials.pkcs1_padding);
}

void Carry(Fields& fields, Job& job) {
  fields.Number("job id", job.id);
  fields.Text("target", job.target, kMaxTargetBytes);
  Carry(fields, "address", job.address);
  fields.Number("port", job.port, 1);
  Carry(fields, job.test);
  fields.Optional("credentials", job.credentials,
                  [&](TestCredentials& credentials) { Carry(fields, credentials); });
  fields.Require(!job.credentials || CheckCredentials(*job.credentials), "credentials");
  fields.Time("connect timeout", job.connect_timeout, std::chrono::milliseconds(1), kMaxPeriod);
  fields.Number("lock key", job.lock_key, kNoLock, kMaxLockKey);
  Carry(fields, job.times);
}

// The web pages show these texts, which come from a worker: printable ASCII only.
void CarryPrintable(Fields& fields, const char* name, std::string& text, std::size_t max_bytes) {
  fields.Text(name, text, max_bytes);
  fields.Require(std::ranges::all_of(text, IsPrintable), name);
}

void Carry(Fields& fields, Iperf3Capabilities& capabilities) {
  std::uint64_t options = capabilities.options.to_ullong();
  fields.Number("capabilities", options, 0, decltype(capabilities.options)().set().to_ullong());
  capabilities.options = options;
  fields.Bool("capabilities", capabilities.authentication);
  fields.Bool("capabilities", capabilities.pkcs1_padding);
  fields.Bool("capabilities", capabilities.connect_timeout);
  fields.Bool("capabilities", capabilities.udp_counters_64bit);
}

void Carry(Fields& fields, Iperf3Description& iperf3) {
  CarryPrintable(fields, "iperf3 version", iperf3.version, kMaxVersionTextBytes);
  Carry(fields, iperf3.capabilities);
  FileIdentity& program = iperf3.program;
  for (auto* number : {&program.device, &program.inode, &program.bytes}) {
    fields.Number("program", *number);
  }
  for (auto* time : {&program.modified_ns, &program.changed_ns}) fields.Number("program", *time);
}

void Carry(Fields& fields, WorkerConfig& config) {
  fields.Text("lock name", config.lock_name, kMaxLockNameBytes);
  fields.Enum("lock scope", config.lock_scope, LockScope::kNone);
  fields.Text("iperf3 path", config.iperf3_path, kMaxPathBytes);
  fields.Enum("sandbox mode", config.sandbox, SandboxMode::kDiagnose);
  fields.Number("log level", config.log_level, 0, 3);
  fields.Bool("log format", config.log_json);
  fields.Optional("known iperf3", config.known_iperf3,
                  [&](Iperf3Description& iperf3) { Carry(fields, iperf3); });
}

void Carry(Fields& /*fields*/, Cancel& /*cancel*/) {}

void Carry(Fields& fields, WorkerReady& ready) {
  Carry(fields, ready.iperf3);
  for (LayerStates* states : {&ready.sandbox.worker, &ready.sandbox.iperf3}) {
    for (LayerState& state : *states) fields.Enum("sandbox layer", state, LayerState::kEnabled);
  }
}

void Carry(Fields& fields, SetUpFailed& failed) {
  CarryPrintable(fields, "message", failed.message, kMaxErrorTextBytes);
  fields.Bool("is transient", failed.is_transient);
}

void Carry(Fields& fields, Started& started) {
  fields.Number("job id", started.job_id);
  fields.Number("period", started.period_seconds, 1, kMaxPeriodSeconds);
  fields.Time("lock wait", started.lock_wait, {}, std::chrono::hours(48));
  fields.Bool("recovered lock", started.recovered_lock);
}

void Carry(Fields& fields, const char* name, std::optional<DirectionMeasurement>& direction) {
  fields.Optional(name, direction, [&](DirectionMeasurement& values) {
    for (const DirectionField& field : kDirectionFields) {
      fields.OptionalNumber(name, values.*field.member, 0, field.max);
    }
  });
}

void Carry(Fields& fields, const char* name, CpuUtilization& cpu) {
  for (auto* ratio : {&cpu.total, &cpu.user, &cpu.system}) {
    fields.OptionalNumber(name, *ratio, 0, kMaxCpuRatio);
  }
}

void Carry(Fields& fields, Measurement& measurement) {
  Carry(fields, "upload", measurement.upload);
  Carry(fields, "download", measurement.download);
  Carry(fields, "local cpu", measurement.local_cpu);
  Carry(fields, "remote cpu", measurement.remote_cpu);
  fields.Number("implausible values", measurement.implausible_values);
}

void Carry(Fields& fields, Traffic& traffic) {
  fields.Number("traffic", traffic.upload_bytes, 0, kMaxTrafficBytes);
  fields.Number("traffic", traffic.download_bytes, 0, kMaxTrafficBytes);
}

void Carry(Fields& fields, Finished& finished) {
  fields.Number("job id", finished.job_id);
  fields.Optional("traffic", finished.traffic, [&](Traffic& traffic) { Carry(fields, traffic); });
  if (finished.result) return Carry(fields, *finished.result);
  fields.Enum("reason", finished.result.error().reason, kLastFailureReason);
  fields.Text("detail", finished.result.error().detail, kMaxErrorTextBytes);
}

void Carry(Fields& fields, NotStarted& not_started) {
  fields.Number("job id", not_started.job_id);
  fields.Enum("reason", not_started.reason, NotStarted::Reason::kNoTime);
}

void Carry(Fields& fields, Header& header) {
  fields.Number("magic", header.magic, kMagic, kMagic);
  fields.Number("version", header.version);
  fields.Enum("type", header.type, Type::kNotStarted);
  fields.Number("length", header.length);
}

// A copy of the message, because fields are carried by reference in both directions.
template <typename Message>
Frame Write(Type type, Message message) {
  Fields fields;
  Header header{.type = type};
  Carry(fields, header);
  Carry(fields, message);
  Frame frame = fields.TakeFrame();
  header.length = static_cast<std::uint32_t>(frame.size());
  std::memcpy(frame.data() + kLengthOffset, &header.length, sizeof header.length);
  return frame;
}

// Reads what follows the header. Only the type of `message` matters: it is the type to read.
template <typename Variant, typename Message>
Result<Variant> Read(Fields& fields, Message message) {
  Carry(fields, message);
  return fields.Finish().map([&] { return Variant(std::move(message)); });
}

Result<Type> ReadHeader(Fields& fields, std::size_t frame_bytes) {
  Header header;
  Carry(fields, header);
  if (header.magic == kMagic && header.version != kVersion) {
    return MakeError("malformed frame: version " + std::to_string(header.version) + ", not " +
                     std::to_string(kVersion));
  }
  fields.Require(header.length == frame_bytes && frame_bytes <= kMaxFrameBytes, "length");
  return fields.Check().map([&] { return header.type; });
}

}  // namespace

Frame Encode(const WorkerConfig& config) { return Write(Type::kConfigure, config); }
Frame Encode(const Job& job) { return Write(Type::kRun, job); }
Frame Encode(const Cancel& cancel) { return Write(Type::kCancel, cancel); }
Frame Encode(const WorkerReady& ready) { return Write(Type::kReady, ready); }
Frame Encode(const SetUpFailed& failed) { return Write(Type::kSetUpFailed, failed); }
Frame Encode(const Started& started) { return Write(Type::kStarted, started); }
Frame Encode(const Finished& finished) {
  return Write(finished.result ? Type::kMeasured : Type::kFailed, finished);
}
Frame Encode(const NotStarted& not_started) { return Write(Type::kNotStarted, not_started); }

Result<Command> DecodeCommand(Bytes frame) {
  Fields fields(frame);
  const auto type = ReadHeader(fields, frame.size());
  if (!type) return tl::unexpected(type.error());
  switch (*type) {
    case Type::kConfigure:
      return Read<Command>(fields, WorkerConfig{});
    case Type::kRun:
      return Read<Command>(fields, Job{});
    case Type::kCancel:
      return Read<Command>(fields, Cancel{});
    default:
      return MakeError("malformed frame: not a command");
  }
}

Result<Event> DecodeEvent(Bytes frame) {
  Fields fields(frame);
  const auto type = ReadHeader(fields, frame.size());
  if (!type) return tl::unexpected(type.error());
  switch (*type) {
    case Type::kReady:
      return Read<Event>(fields, WorkerReady{});
    case Type::kSetUpFailed:
      return Read<Event>(fields, SetUpFailed{});
    case Type::kStarted:
      return Read<Event>(fields, Started{});
    case Type::kMeasured:
      return Read<Event>(fields, Finished{0, Measurement{}, {}});
    case Type::kFailed:
      return Read<Event>(fields, Finished{0, tl::unexpected(TestFailure{}), {}});
    case Type::kNotStarted:
      return Read<Event>(fields, NotStarted{});
    default:
      return MakeError("malformed frame: not an event");
  }
}

}  // namespace iperf3_exporter::wire
