// The machine: pickle's opcodes for data, and the rebuilding of torch's tensors.
#include "weights/pickle.h"

#include <algorithm>
#include <bit>
#include <charconv>
#include <unordered_map>

#include "weights/pickle_globals.h"
#include "weights/pickle_opcodes.h"
#include "wimm/error.h"

namespace wimm::pickle {

namespace {

using Role = Global::Role;

constexpr uint8_t kHighestProtocol = 5;
// What a tensor takes in a checkpoint, generously: torch.save needs 41 opcodes for a convolution's weight.
constexpr uint64_t kStepsPerTensor = 128;
// Of a global's names and of numbers as text.
constexpr size_t kMaxLineBytes = 1024;

Error corrupt(const std::string& message) { return Error(ErrorCode::format_corrupt, "pickle: " + message); }

class Machine {
 public:
  Machine(ByteStream& stream, const ReadLimits& limits) : stream_(stream), limits_(limits), begin_(stream.position()) {}

  Object run() {
    for (uint8_t opcode = stream_.u8(); opcode != STOP; opcode = stream_.u8()) {
      spend(1);
      execute(opcode);
    }
    object_.root = pop();
    if (!stack_.empty() || !marks_.empty()) throw corrupt("values are left on its stack at its end");
    return std::move(object_);
  }

 private:
  void execute(uint8_t opcode);
  void execute_text_opcode(uint8_t opcode);
  void execute_container_opcode(uint8_t opcode);

  // Bounds the work, and with it the memory: a step is an opcode, or an item that one copies.
  void spend(uint64_t steps) {
    steps_ += steps;
    if (steps_ > limits_.tensors * kStepsPerTensor || stream_.position() - begin_ > limits_.header_bytes) too_long();
  }
  [[noreturn]] void too_long() const {
    throw Error(ErrorCode::limit_exceeded, "pickle: it is too long").at_offset(stream_.position());
  }

  Ref add(Value value) {
    object_.values.push_back(std::move(value));
    return static_cast<Ref>(object_.values.size() - 1);
  }
  void push(Value value) { stack_.push_back(add(std::move(value))); }
  Ref top() const {
    if (stack_.size() == (marks_.empty() ? 0 : marks_.back())) throw corrupt("an opcode finds the stack empty");
    return stack_.back();
  }
  Ref pop() {
    const Ref ref = top();
    stack_.pop_back();
    return ref;
  }
  std::vector<Ref> pop_to_mark() {
    if (marks_.empty()) throw corrupt("an opcode finds no mark");
    std::vector<Ref> items(stack_.begin() + static_cast<std::ptrdiff_t>(marks_.back()), stack_.end());
    stack_.resize(marks_.back());
    marks_.pop_back();
    return items;
  }
  Tuple pop_tuple(size_t size) {
    Tuple tuple{std::vector<Ref>(size)};
    for (size_t i = size; i-- > 0;) tuple.items[i] = pop();
    return tuple;
  }

  template <typename T>
  T& expect(Ref ref, std::string_view what) {
    T* value = std::get_if<T>(&object_.values[ref]);
    if (value == nullptr) throw corrupt("it has another value where " + std::string(what) + " is due");
    return *value;
  }
  uint64_t expect_size(Ref ref, std::string_view what) {
    const int64_t value = expect<int64_t>(ref, what);
    if (value < 0) throw corrupt(std::string(what) + " is negative");
    return static_cast<uint64_t>(value);
  }

  std::string bytes(uint64_t length) {
    if (length > limits_.header_bytes && length <= stream_.remaining()) too_long();
    return stream_.text(length);
  }
  std::string utf8(uint64_t length) {
    std::string text = bytes(length);
    if (!is_utf8(text)) throw corrupt("a string is not UTF-8").at_offset(stream_.position() - length);
    return text;
  }
  std::string line() { return stream_.line(kMaxLineBytes); }
  int64_t parse_decimal(std::string_view text) const;
  Value parse_long(const std::string& bytes) const;
  Value parse_text_integer(std::string text) const;
  double big_endian_double();

  void push_global(const std::string& module, const std::string& name);
  void push_storage();
  void reduce();
  void build();
  void memoize(uint64_t slot) { memo_[slot] = top(); }
  void recall(uint64_t slot);
  void append(Ref list, const std::vector<Ref>& items);
  void set_items(Ref dict, const std::vector<Ref>& items);

  Dict ordered_dict(const Tuple& arguments);
  TensorRef rebuild_tensor(const Tuple& arguments);
  TensorRef rebuild_parameter(const Tuple& arguments);
  void check_view(const TensorView& view) const;

  ByteStream& stream_;
  const ReadLimits& limits_;
  uint64_t begin_;
  Object object_;
  uint64_t steps_ = 0;
  std::vector<Ref> stack_;
  std::vector<size_t> marks_;  // sizes of the stack
  std::unordered_map<uint64_t, Ref> memo_;
  std::unordered_map<std::string, uint32_t> storage_of_key_;
};

// One opcode a line.
// clang-format off
void Machine::execute(uint8_t opcode) {
  switch (opcode) {
    case PROTO:
      if (const uint8_t protocol = stream_.u8(); protocol > kHighestProtocol) {
        throw Error(ErrorCode::format_unsupported, "pickle: protocol " + std::to_string(protocol) + " is not supported");
      }
      return;
    case FRAME: {
      const uint64_t length = stream_.u64();
      if (length > stream_.remaining()) {
        throw Error(ErrorCode::format_truncated, "pickle: a frame is longer than the file").at_offset(stream_.position());
      }
      return;
    }
    case NONE: return push(None{});
    case NEWTRUE: return push(true);
    case NEWFALSE: return push(false);
    case BININT: return push(int64_t{static_cast<int32_t>(stream_.u32())});
    case BININT1: return push(int64_t{stream_.u8()});
    case BININT2: return push(int64_t{stream_.u16()});
    case LONG1: return push(parse_long(bytes(stream_.u8())));
    case LONG4: {
      const uint32_t length = stream_.u32();
      if (length > INT32_MAX) throw corrupt("an integer has a negative length");
      return push(parse_long(bytes(length)));
    }
    case BINFLOAT: return push(big_endian_double());
    case SHORT_BINSTRING:
    case SHORT_BINUNICODE: return push(utf8(stream_.u8()));
    case BINSTRING:
    case BINUNICODE: return push(utf8(stream_.u32()));
    case BINUNICODE8: return push(utf8(stream_.u64()));
    case SHORT_BINBYTES: stream_.skip(stream_.u8()); return push(Opaque{});
    case BINBYTES: stream_.skip(stream_.u32()); return push(Opaque{});
    case BINBYTES8:
    case BYTEARRAY8: stream_.skip(stream_.u64()); return push(Opaque{});
    case STACK_GLOBAL: {
      const std::string name = expect<std::string>(pop(), "the name of a global");
      return push_global(expect<std::string>(pop(), "the module of a global"), name);
    }
    case BINPERSID: return push_storage();
    case REDUCE:
    case NEWOBJ: return reduce();
    case BUILD: return build();
    case BINPUT: return memoize(stream_.u8());
    case LONG_BINPUT: return memoize(stream_.u32());
    case MEMOIZE: return memoize(memo_.size());
    case BINGET: return recall(stream_.u8());
    case LONG_BINGET: return recall(stream_.u32());
    case PERSID:
    case INST:
    case OBJ:
    case EXT1:
    case EXT2:
    case EXT4:
    case NEWOBJ_EX:
      throw Error(ErrorCode::pickle_forbidden, "pickle: it makes an object of a class, which no file of weights needs")
          .at_offset(stream_.position());
    default: return execute_container_opcode(opcode);
  }
}

void Machine::execute_container_opcode(uint8_t opcode) {
  switch (opcode) {
    case MARK: return marks_.push_back(stack_.size());
    case POP:
      // As in CPython, POP on a mark removes the mark.
      if (!marks_.empty() && marks_.back() == stack_.size()) return marks_.pop_back();
      pop();
      return;
    case POP_MARK: pop_to_mark(); return;
    case DUP: return stack_.push_back(top());
    case EMPTY_TUPLE: return push(Tuple{});
    case TUPLE1: return push(pop_tuple(1));
    case TUPLE2: return push(pop_tuple(2));
    case TUPLE3: return push(pop_tuple(3));
    case TUPLE:
    case FROZENSET: return push(Tuple{pop_to_mark()});
    case EMPTY_LIST:
    case EMPTY_SET: return push(List{});
    case LIST: return push(List{pop_to_mark()});
    case EMPTY_DICT: return push(Dict{});
    case DICT: {
      const std::vector<Ref> items = pop_to_mark();
      push(Dict{});
      return set_items(top(), items);
    }
    case APPEND: {
      const Ref item = pop();
      return append(top(), {item});
    }
    case APPENDS:
    case ADDITEMS: {
      const std::vector<Ref> items = pop_to_mark();
      return append(top(), items);
    }
    case SETITEM: {
      const Ref value = pop(), key = pop();
      return set_items(top(), {key, value});
    }
    case SETITEMS: {
      const std::vector<Ref> items = pop_to_mark();
      return set_items(top(), items);
    }
    default: return execute_text_opcode(opcode);
  }
}

// Protocols 0 and 1.
void Machine::execute_text_opcode(uint8_t opcode) {
  switch (opcode) {
    case GLOBAL: {
      const std::string module = line();
      return push_global(module, line());
    }
    case INT: {
      const std::string text = line();
      if (text == "00" || text == "01") return push(text == "01");
      return push(parse_text_integer(text));
    }
    case LONG: return push(parse_text_integer(line()));
    case FLOAT: line(); return push(Opaque{});
    case PUT: return memoize(static_cast<uint64_t>(parse_decimal(line())));
    case GET: return recall(static_cast<uint64_t>(parse_decimal(line())));
    default:
      throw Error(ErrorCode::format_unsupported, "pickle: opcode " + std::to_string(opcode) + " is not supported")
          .at_offset(stream_.position() - 1);
  }
}

// clang-format on
int64_t Machine::parse_decimal(std::string_view text) const {
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) throw corrupt(quote(text) + " is not an integer");
  return value;
}

Value Machine::parse_text_integer(std::string text) const {
  if (text.ends_with('L')) text.pop_back();
  return parse_decimal(text);
}

// Little-endian two's complement of any length.
Value Machine::parse_long(const std::string& bytes) const {
  if (bytes.size() > sizeof(int64_t)) return BigInteger{bytes};
  uint64_t value = !bytes.empty() && (bytes.back() & 0x80) ? ~uint64_t{0} : 0;
  for (size_t i = bytes.size(); i-- > 0;) value = value << 8 | static_cast<uint8_t>(bytes[i]);
  return static_cast<int64_t>(value);
}

double Machine::big_endian_double() {
  uint64_t bits = 0;
  for (int i = 0; i < 8; ++i) bits = bits << 8 | stream_.u8();
  return std::bit_cast<double>(bits);
}

void Machine::push_global(const std::string& module, const std::string& name) {
  if (const std::optional<Global> global = find_global(module, name)) return push(*global);
  throw Error(ErrorCode::pickle_forbidden,
              "pickle: the global " + quote(module + "." + name) +
                  " is not among the few that weights need. If you trust the file, load it in Python and save its "
                  "state_dict with safetensors")
      .at_offset(stream_.position());
}

// The persistent id of a storage: ('storage', type, key, location, size), to which the legacy format adds a view.
void Machine::push_storage() {
  const Tuple& id = expect<Tuple>(pop(), "the persistent id of a storage");
  if (id.items.size() < 5 || id.items.size() > 6 || expect<std::string>(id.items[0], "'storage'") != "storage") {
    throw corrupt("a persistent id is not that of a storage");
  }
  if (id.items.size() == 6 && object_.get<None>(id.items[5]) == nullptr) {
    throw Error(ErrorCode::format_unsupported,
                "pickle: views of storages, as PyTorch 0.1 wrote them, are not supported");
  }
  const Global type = expect<Global>(id.items[1], "a storage type");
  if (type.role != Role::storage_type) throw corrupt("a storage has a type that is none");
  Storage storage{expect<std::string>(id.items[2], "the key of a storage"), type.dtype,
                  expect_size(id.items[4], "the size of a storage")};
  const auto [entry, inserted] = storage_of_key_.emplace(storage.key, static_cast<uint32_t>(object_.storages.size()));
  if (inserted) {
    object_.storages.push_back(std::move(storage));
  } else if (const Storage& known = object_.storages[entry->second];
             known.dtype != storage.dtype || known.size != storage.size) {
    throw corrupt("storage " + quote(storage.key) + " is described twice, and differently");
  }
  push(StorageRef{entry->second});
}

void Machine::reduce() {
  const Tuple& arguments = expect<Tuple>(pop(), "a tuple of arguments");
  const Ref callable = pop();
  const Global* global = object_.get<Global>(callable);
  if (global == nullptr || global->role == Role::storage_type) {
    throw Error(ErrorCode::pickle_forbidden, "pickle: it calls something that is not a function")
        .at_offset(stream_.position());
  }
  switch (global->role) {
    case Role::ordered_dict:
      return push(ordered_dict(arguments));
    case Role::rebuild_tensor:
      return push(rebuild_tensor(arguments));
    case Role::rebuild_parameter:
      return push(rebuild_parameter(arguments));
    default:
      return push(Opaque{});
  }
}

// BUILD sets attributes. Those of an OrderedDict (its _metadata) and of inert objects are of no use to us.
void Machine::build() {
  pop();
  const Ref target = top();
  if (object_.get<Dict>(target) == nullptr && object_.get<Opaque>(target) == nullptr) {
    throw Error(ErrorCode::pickle_forbidden, "pickle: it sets attributes of something that has none")
        .at_offset(stream_.position());
  }
}

void Machine::recall(uint64_t slot) {
  const auto found = memo_.find(slot);
  if (found == memo_.end()) throw corrupt("memo slot " + std::to_string(slot) + " is empty");
  stack_.push_back(found->second);
}

void Machine::append(Ref list, const std::vector<Ref>& items) {
  std::vector<Ref>& all = expect<List>(list, "a list").items;
  all.insert(all.end(), items.begin(), items.end());
}

void Machine::set_items(Ref dict, const std::vector<Ref>& items) {
  if (items.size() % 2 != 0) throw corrupt("a dictionary gets a key without a value");
  Dict& target = expect<Dict>(dict, "a dictionary");
  for (size_t i = 0; i < items.size(); i += 2) target.items.emplace_back(items[i], items[i + 1]);
}

// OrderedDict(), or OrderedDict([[key, value], …]) as Python 2 pickles it.
Dict Machine::ordered_dict(const Tuple& arguments) {
  Dict dict;
  if (arguments.items.empty()) return dict;
  if (arguments.items.size() != 1) throw corrupt("OrderedDict takes at most one argument");
  const std::vector<Ref>& pairs = expect<List>(arguments.items[0], "a list of pairs").items;
  spend(pairs.size());
  dict.items.reserve(pairs.size());
  for (const Ref item : pairs) {
    const std::vector<Ref>& pair = expect<List>(item, "a pair").items;
    if (pair.size() != 2) throw corrupt("an item of an OrderedDict is not a pair");
    dict.items.emplace_back(pair[0], pair[1]);
  }
  return dict;
}

// _rebuild_tensor_v2(storage, storage_offset, size, stride, requires_grad, backward_hooks, metadata=None);
// the first version has the first four.
TensorRef Machine::rebuild_tensor(const Tuple& arguments) {
  if (arguments.items.size() < 4 || arguments.items.size() > 7)
    throw corrupt("a tensor has too few or too many arguments");
  TensorView view{};
  view.storage = expect<StorageRef>(arguments.items[0], "the storage of a tensor").index;
  view.offset = expect_size(arguments.items[1], "the storage offset of a tensor");
  const Tuple& shape = expect<Tuple>(arguments.items[2], "the size of a tensor");
  const Tuple& strides = expect<Tuple>(arguments.items[3], "the stride of a tensor");
  if (shape.items.size() != strides.items.size()) throw corrupt("a tensor has more dimensions than strides, or fewer");
  if (shape.items.size() > limits_.rank) {
    throw Error(ErrorCode::limit_exceeded,
                "pickle: a tensor has " + std::to_string(shape.items.size()) + " dimensions");
  }
  for (const Ref dim : shape.items) view.shape.push_back(static_cast<int64_t>(expect_size(dim, "a dimension")));
  for (const Ref stride : strides.items) view.strides.push_back(expect_size(stride, "a stride"));
  check_view(view);
  if (object_.tensors.size() == limits_.tensors) {
    throw Error(ErrorCode::limit_exceeded, "pickle: more than " + std::to_string(limits_.tensors) + " tensors");
  }
  object_.tensors.push_back(std::move(view));
  return {static_cast<uint32_t>(object_.tensors.size() - 1)};
}

// _rebuild_parameter(data, requires_grad, backward_hooks)
TensorRef Machine::rebuild_parameter(const Tuple& arguments) {
  if (arguments.items.size() != 3) throw corrupt("a parameter has too few or too many arguments");
  return expect<TensorRef>(arguments.items[0], "the data of a parameter");
}

// Every element must lie inside the storage. Subtraction alone, so nothing can overflow.
void Machine::check_view(const TensorView& view) const {
  const uint64_t size = object_.storages[view.storage].size;
  const bool empty = std::ranges::find(view.shape, 0) != view.shape.end();
  bool inside = view.offset <= size && (empty || view.offset < size);
  uint64_t rest = inside && !empty ? size - view.offset - 1 : 0;  // elements behind the first
  for (size_t i = 0; inside && !empty && i < view.shape.size(); ++i) {
    const auto steps = static_cast<uint64_t>(view.shape[i] - 1);
    inside = steps == 0 || view.strides[i] <= rest / steps;
    if (inside) rest -= view.strides[i] * steps;
  }
  if (!inside) {
    throw corrupt("a tensor of size " + to_string(view.shape) + " reaches beyond its storage of " +
                  std::to_string(size) + " elements");
  }
}

}  // namespace

std::optional<Ref> Object::find(const Dict& dict, std::string_view key) const {
  for (const auto& [name, value] : dict.items) {
    const auto* text = get<std::string>(name);
    if (text != nullptr && *text == key) return value;
  }
  return std::nullopt;
}

Object load(ByteStream& stream, const ReadLimits& limits) { return Machine(stream, limits).run(); }

}  // namespace wimm::pickle
