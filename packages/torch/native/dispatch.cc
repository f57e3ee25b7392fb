// Any ATen operator by its schema: look it up once, convert the arguments, callBoxed, convert the results.
#include "environment.h"
#include "fatal-arguments.h"

#include <ATen/core/function_schema.h>
#include <ATen/core/jit_type.h>
#include <ATen/core/stack.h>

#include <cmath>
#include <sstream>

namespace conquer {
namespace {

using c10::IValue;
using c10::TypeKind;

at::Scalar to_scalar(napi_env env, napi_value value, const char* what) {
  napi_valuetype type;
  check(napi_typeof(env, value, &type), what);
  if (type == napi_boolean) return at::Scalar(to_bool(env, value, what));
  if (type == napi_bigint) return at::Scalar(to_int64(env, value, what));
  const double number = to_double(env, value, what);
  // As in Python, 2 is an integer and 2.5 is not; JavaScript cannot say 2.0, so integral numbers are integers.
  const bool integral = is_integer(number) && !(number == 0 && std::signbit(number));
  return integral ? at::Scalar(static_cast<int64_t>(number)) : at::Scalar(number);
}

bool is_nullish(napi_env env, napi_value value) {
  napi_valuetype type;
  check(napi_typeof(env, value, &type), "cannot read an argument");
  return type == napi_undefined || type == napi_null;
}

IValue to_ivalue(napi_env env, napi_value value, const c10::TypePtr& type, const c10::TypePtr& real_type,
                 const c10::Argument& argument);

IValue to_list(napi_env env, napi_value value, const c10::ListType& list, const c10::Argument& argument) {
  const char* what = argument.name().c_str();
  const c10::TypePtr element_type = list.getElementType();
  bool is_array = false;
  check(napi_is_array(env, value, &is_array), what);
  switch (element_type->kind()) {
    case TypeKind::IntType:
    case TypeKind::SymIntType: {
      c10::List<int64_t> numbers;
      if (!is_array && argument.N()) {  // int[2] takes a bare number
        for (int32_t i = 0; i < *argument.N(); ++i) numbers.push_back(to_int64(env, value, what));
      } else {
        for_each_element(env, value, what, [&](napi_value e) { numbers.push_back(to_int64(env, e, what)); });
      }
      return numbers;
    }
    case TypeKind::FloatType: {
      c10::List<double> numbers;
      for_each_element(env, value, what, [&](napi_value e) { numbers.push_back(to_double(env, e, what)); });
      return numbers;
    }
    case TypeKind::BoolType: {
      c10::List<bool> flags;
      if (!is_array && argument.N()) {
        for (int32_t i = 0; i < *argument.N(); ++i) flags.push_back(to_bool(env, value, what));
      } else {
        for_each_element(env, value, what, [&](napi_value e) { flags.push_back(to_bool(env, e, what)); });
      }
      return flags;
    }
    case TypeKind::TensorType: {
      c10::List<at::Tensor> tensors;
      for_each_element(env, value, what, [&](napi_value e) { tensors.push_back(to_tensor(env, e)); });
      return tensors;
    }
    default: {
      // Optional tensors, scalars, strings: rare, so one generic list.
      c10::impl::GenericList values(element_type);
      for_each_element(env, value, what,
                       [&](napi_value e) { values.push_back(to_ivalue(env, e, element_type, element_type, argument)); });
      return values;
    }
  }
}

IValue to_ivalue(napi_env env, napi_value value, const c10::TypePtr& type, const c10::TypePtr& real_type,
                 const c10::Argument& argument) {
  const char* what = argument.name().c_str();
  // Enumerations are plain integers in `type`; only `real_type` tells, and a wild number would crash libtorch.
  switch (real_type->kind()) {
    case TypeKind::ScalarTypeType:
      return static_cast<int64_t>(to_scalar_type(env, value));
    case TypeKind::LayoutType: {
      const std::string name = to_string(env, value, what);
      if (name == "strided") return static_cast<int64_t>(c10::Layout::Strided);
      if (name == "sparse_coo") return static_cast<int64_t>(c10::Layout::Sparse);
      throw std::runtime_error("unknown layout '" + name + "': expected strided or sparse_coo");
    }
    case TypeKind::MemoryFormatType: {
      const std::string name = to_string(env, value, what);
      if (name == "contiguous_format") return static_cast<int64_t>(c10::MemoryFormat::Contiguous);
      if (name == "preserve_format") return static_cast<int64_t>(c10::MemoryFormat::Preserve);
      if (name == "channels_last") return static_cast<int64_t>(c10::MemoryFormat::ChannelsLast);
      throw std::runtime_error("unknown memory format '" + name +
                               "': expected contiguous_format, preserve_format or channels_last");
    }
    default:
      break;
  }
  switch (type->kind()) {
    case TypeKind::OptionalType: {
      if (is_nullish(env, value)) return IValue();
      const auto inner = type->castRaw<c10::OptionalType>()->getElementType();
      const auto real_inner = real_type->kind() == TypeKind::OptionalType
                                  ? real_type->castRaw<c10::OptionalType>()->getElementType()
                                  : inner;
      return to_ivalue(env, value, inner, real_inner, argument);
    }
    case TypeKind::TensorType:
      return to_tensor(env, value);
    case TypeKind::NumberType:
      return to_scalar(env, value, what);
    case TypeKind::IntType:
    case TypeKind::SymIntType:
      return to_int64(env, value, what);
    case TypeKind::FloatType:
      return to_double(env, value, what);
    case TypeKind::BoolType:
      return to_bool(env, value, what);
    case TypeKind::StringType:
      return to_string(env, value, what);
    case TypeKind::DeviceObjType:
      return to_device(env, value);
    case TypeKind::GeneratorType:
      return Environment::of(env).generators.at(to_double(env, value, what));
    case TypeKind::ListType:
      return to_list(env, value, *type->castRaw<c10::ListType>(), argument);
    default:
      throw std::runtime_error(std::string(what) + " has type " + type->str() + ", which JavaScript cannot give");
  }
}

napi_value from_ivalue(napi_env env, IValue&& value) {
  if (value.isTensor()) return from_tensor(env, std::move(value).toTensor());
  if (value.isNone()) return undefined(env);
  if (value.isInt()) return from_double(env, static_cast<double>(value.toInt()));
  if (value.isDouble()) return from_double(env, value.toDouble());
  if (value.isBool()) return from_bool(env, value.toBool());
  if (value.isString()) return from_string(env, value.toStringRef());
  if (value.isScalar()) return from_double(env, value.toScalar().toDouble());
  if (value.isDevice()) return from_string(env, value.toDevice().str());
  if (value.isList()) {
    auto list = std::move(value).toList();
    const napi_value array = new_array(env, list.size());
    for (size_t i = 0; i < list.size(); ++i) {
      set_element(env, array, i, from_ivalue(env, IValue(list.get(i))));
    }
    return array;
  }
  throw std::runtime_error("a result of type " + value.tagKind() + " cannot be given to JavaScript");
}

Reading reading_of(const c10::TypePtr& type, const c10::TypePtr& real_type) {
  switch (real_type->kind()) {
    case TypeKind::ScalarTypeType:
    case TypeKind::LayoutType:
    case TypeKind::MemoryFormatType:
      return Reading::other;
    default:
      break;
  }
  switch (type->kind()) {
    case TypeKind::TensorType:
      return Reading::tensor;
    case TypeKind::IntType:
    case TypeKind::SymIntType:
      return Reading::integer;
    case TypeKind::FloatType:
      return Reading::real;
    case TypeKind::BoolType:
      return Reading::flag;
    default:
      return Reading::other;
  }
}

Parameter parameter_of(const c10::Argument& argument) {
  c10::TypePtr type = argument.type();
  c10::TypePtr real_type = argument.real_type();
  const bool optional = type->kind() == TypeKind::OptionalType;
  if (optional) {
    type = type->castRaw<c10::OptionalType>()->getElementType();
    if (real_type->kind() == TypeKind::OptionalType) real_type = real_type->castRaw<c10::OptionalType>()->getElementType();
  }
  return {reading_of(type, real_type), optional, &argument};
}

// One argument onto the stack. The usual types are read without asking for their type first, as each question costs
// as much as the answer; what does not fit falls through to the null check and to the messages of to_ivalue. False
// where the argument is missing and has no default.
bool push_argument(napi_env env, napi_value value, const Parameter& parameter, Environment& environment,
                   torch::jit::Stack& stack) {
  double number;
  switch (parameter.reading) {
    case Reading::tensor:
      if (napi_get_value_double(env, value, &number) == napi_ok) {
        stack.emplace_back(environment.tensors.at(number));
        return true;
      }
      break;
    case Reading::real:
      if (napi_get_value_double(env, value, &number) == napi_ok) {
        stack.emplace_back(number);
        return true;
      }
      break;
    case Reading::integer:
      if (napi_get_value_double(env, value, &number) == napi_ok && is_integer(number)) {
        stack.emplace_back(static_cast<int64_t>(number));
        return true;
      }
      break;
    case Reading::flag: {
      bool flag;
      if (napi_get_value_bool(env, value, &flag) == napi_ok) {
        stack.emplace_back(flag);
        return true;
      }
      break;
    }
    case Reading::other:
      break;
  }
  const c10::Argument& argument = *parameter.argument;
  if (value == nullptr || is_nullish(env, value)) {
    if (argument.default_value()) {
      stack.push_back(*argument.default_value());
    } else if (parameter.optional) {
      stack.emplace_back();
    } else {
      return false;
    }
    return true;
  }
  stack.push_back(to_ivalue(env, value, argument.type(), argument.real_type(), argument));
  return true;
}

// The arguments of one operator at most: aten's longest schema takes fewer.
constexpr size_t kMaxArguments = 64;

// The function of one operator: (...arguments) → result, or an array of results when the schema has several. Tensors
// are handles. A result that is an argument changed in place is given as undefined: the caller has it already.
napi_value call(napi_env env, napi_callback_info info) {
  return guarded(env, [&]() -> napi_value {
    napi_value values[kMaxArguments];
    size_t given = kMaxArguments;
    void* data;
    check(napi_get_cb_info(env, info, &given, values, nullptr, &data), "cannot read the arguments");
    const Operator& op = *static_cast<const Operator*>(data);
    const size_t count = op.parameters.size();
    if (given > count) {
      throw std::runtime_error("takes at most " + std::to_string(count) + " arguments, got " + std::to_string(given));
    }
    Environment& environment = Environment::of(env);
    torch::jit::Stack stack;
    stack.reserve(count);
    for (size_t i = 0; i < count; ++i) {
      bool present;
      try {
        present = push_argument(env, values[i], op.parameters[i], environment, stack);  // undefined beyond the given
      } catch (const NapiFailure&) {
        throw;
      } catch (const std::exception& error) {
        throw std::runtime_error("argument '" + op.parameters[i].argument->name() + "': " + error.what());
      }
      if (!present) throw std::runtime_error("argument '" + op.parameters[i].argument->name() + "' is missing");
    }
    refuse_fatal_arguments(op.handle.schema(), stack);
    {
      FlushDenormals flush(environment);
      op.handle.callBoxed(&stack);
    }
    if (op.alias_of_argument.size() == 1) {
      return op.alias_of_argument[0] >= 0 ? undefined(env) : from_ivalue(env, std::move(stack[0]));
    }
    const napi_value results = new_array(env, stack.size());
    for (size_t i = 0; i < stack.size(); ++i) {
      napi_value value = op.alias_of_argument[i] >= 0 ? undefined(env) : from_ivalue(env, std::move(stack[i]));
      set_element(env, results, i, value);
    }
    return results;
  });
}

// Of each argument of a schema, an object with its name and type.
template <typename Describe>
napi_value arguments_of(napi_env env, const c10::FunctionSchema& schema, const Describe& describe) {
  const napi_value list = new_array(env, schema.arguments().size());
  for (size_t i = 0; i < schema.arguments().size(); ++i) {
    const c10::Argument& argument = schema.arguments()[i];
    const napi_value item = new_object(env);
    set_property(env, item, "name", from_string(env, argument.name()));
    set_property(env, item, "type", from_string(env, argument.real_type()->str()));
    describe(item, argument);
    set_element(env, list, i, item);
  }
  return list;
}

napi_value returns_of(napi_env env, const c10::FunctionSchema& schema) {
  const napi_value list = new_array(env, schema.returns().size());
  for (size_t i = 0; i < schema.returns().size(); ++i) {
    set_element(env, list, i, from_string(env, schema.returns()[i].type()->str()));
  }
  return list;
}

// The index of the argument that a return is, changed in place, or -1.
int alias_of(const c10::Argument& returned, const c10::FunctionSchema& schema) {
  int alias = -1;
  if (!returned.alias_info() || !returned.alias_info()->isWrite()) return alias;
  for (size_t i = 0; i < schema.arguments().size(); ++i) {
    const auto* info = schema.arguments()[i].alias_info();
    if (info && info->isWrite() && *info == *returned.alias_info()) alias = static_cast<int>(i);
  }
  return alias;
}

// findOperator(name, overload) → {call, arguments: [{name, type}], returns: [type], aliases: [index]} | null
napi_value find_operator(napi_env env, napi_callback_info info) {
  return guarded(env, [&] {
    Arguments<2> arguments(env, info);
    const auto found = c10::Dispatcher::singleton().findSchema(
        {to_string(env, arguments[0], "name"), to_string(env, arguments[1], "overload")});
    if (!found) return null(env);
    const c10::FunctionSchema& schema = found->schema();
    if (schema.arguments().size() > kMaxArguments) throw std::runtime_error("has too many arguments to be called");
    Operator op{*found, {}, {}};
    for (const auto& argument : schema.arguments()) op.parameters.push_back(parameter_of(argument));
    const napi_value aliases = new_array(env, schema.returns().size());
    for (size_t i = 0; i < schema.returns().size(); ++i) {
      op.alias_of_argument.push_back(alias_of(schema.returns()[i], schema));
      set_element(env, aliases, i, from_double(env, op.alias_of_argument.back()));
    }
    const napi_value result = new_object(env);
    set_property(env, result, "arguments", arguments_of(env, schema, [](napi_value, const c10::Argument&) {}));
    set_property(env, result, "returns", returns_of(env, schema));
    set_property(env, result, "aliases", aliases);
    auto& operators = Environment::of(env).operators;
    operators.push_back(std::move(op));
    set_property(env, result, "call", new_function(env, schema.name().c_str(), call, &operators.back()));
    return result;
  });
}

// schemas() → every schema text in the namespace aten, sorted by the caller: what the code generator reads.
napi_value schemas(napi_env env, napi_callback_info) {
  return guarded(env, [&] {
    const napi_value result = new_array(env);
    uint32_t count = 0;
    auto& dispatcher = c10::Dispatcher::singleton();
    for (const auto& name : dispatcher.getAllOpNames()) {
      if (name.name.rfind("aten::", 0) != 0) continue;
      const auto op = dispatcher.findSchema(name);
      if (!op) continue;
      const auto& schema = op->schema();
      std::ostringstream text;
      text << schema;
      const napi_value entry = new_object(env);
      set_property(env, entry, "name", from_string(env, name.name.substr(6)));
      set_property(env, entry, "overload", from_string(env, name.overload_name));
      set_property(env, entry, "text", from_string(env, text.str()));
      const napi_value list = arguments_of(env, schema, [&](napi_value item, const c10::Argument& argument) {
        set_property(env, item, "fixedLength", from_bool(env, argument.N().has_value()));
        set_property(env, item, "optional", from_bool(env, argument.default_value().has_value()));
      });
      set_property(env, entry, "arguments", list);
      set_property(env, entry, "returns", returns_of(env, schema));
      set_element(env, result, count++, entry);
    }
    return result;
  });
}

}  // namespace

void register_dispatch(napi_env env, napi_value exports) {
  define(env, exports, "findOperator", find_operator);
  define(env, exports, "schemas", schemas);
}

}  // namespace conquer
