// Any ATen operator by its schema: look it up once, convert the arguments, callBoxed, convert the results.
#include "environment.h"

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
  const bool integral = std::trunc(number) == number && std::abs(number) <= 9007199254740992.0 &&
                        !(number == 0 && std::signbit(number));
  return integral ? at::Scalar(static_cast<int64_t>(number)) : at::Scalar(number);
}

bool is_nullish(napi_env env, napi_value value) {
  napi_valuetype type;
  check(napi_typeof(env, value, &type), "cannot read an argument");
  return type == napi_undefined || type == napi_null;
}

template <typename Read>
void for_each_element(napi_env env, napi_value array, const char* what, Read&& read) {
  bool is_array = false;
  check(napi_is_array(env, array, &is_array), what);
  if (!is_array) throw std::runtime_error(std::string(what) + " must be an array");
  uint32_t length;
  check(napi_get_array_length(env, array, &length), what);
  for (uint32_t i = 0; i < length; ++i) {
    napi_value element;
    check(napi_get_element(env, array, i, &element), what);
    read(element);
  }
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
    napi_value array;
    auto list = std::move(value).toList();
    check(napi_create_array_with_length(env, list.size(), &array), "cannot create an array");
    for (size_t i = 0; i < list.size(); ++i) {
      check(napi_set_element(env, array, i, from_ivalue(env, IValue(list.get(i)))), "cannot fill an array");
    }
    return array;
  }
  throw std::runtime_error("a result of type " + value.tagKind() + " cannot be given to JavaScript");
}

const Operator& operator_at(napi_env env, napi_value value) {
  const auto& operators = Environment::of(env).operators;
  const int64_t id = to_int64(env, value, "operator");
  if (id < 0 || id >= static_cast<int64_t>(operators.size())) throw std::runtime_error("no such operator");
  return operators[id];
}

// findOperator(name, overload) → {id, schema, arguments: [{name, type}], returns: [type], aliases: [index]} | null
napi_value find_operator(napi_env env, napi_callback_info info) {
  return guarded(env, [&] {
    Arguments<2> arguments(env, info);
    const auto found = c10::Dispatcher::singleton().findSchema(
        {to_string(env, arguments[0], "name"), to_string(env, arguments[1], "overload")});
    napi_value result;
    if (!found) {
      check(napi_get_null(env, &result), "cannot create null");
      return result;
    }
    const c10::FunctionSchema& schema = found->schema();
    Environment& environment = Environment::of(env);
    Operator op{*found, {}};
    check(napi_create_object(env, &result), "cannot create an object");
    napi_value list;
    check(napi_create_array(env, &list), "cannot create an array");
    for (size_t i = 0; i < schema.arguments().size(); ++i) {
      napi_value entry;
      check(napi_create_object(env, &entry), "cannot create an object");
      const auto& argument = schema.arguments()[i];
      napi_set_named_property(env, entry, "name", from_string(env, argument.name()));
      napi_set_named_property(env, entry, "type", from_string(env, argument.real_type()->str()));
      napi_set_element(env, list, i, entry);
    }
    napi_set_named_property(env, result, "arguments", list);
    napi_value returns, aliases;
    check(napi_create_array(env, &returns), "cannot create an array");
    check(napi_create_array(env, &aliases), "cannot create an array");
    for (size_t r = 0; r < schema.returns().size(); ++r) {
      const auto& returned = schema.returns()[r];
      int alias = -1;
      if (returned.alias_info() && returned.alias_info()->isWrite()) {
        for (size_t i = 0; i < schema.arguments().size(); ++i) {
          const auto* info = schema.arguments()[i].alias_info();
          if (info && info->isWrite() && *info == *returned.alias_info()) alias = static_cast<int>(i);
        }
      }
      op.alias_of_argument.push_back(alias);
      napi_set_element(env, returns, r, from_string(env, returned.type()->str()));
      napi_set_element(env, aliases, r, from_double(env, alias));
    }
    napi_set_named_property(env, result, "returns", returns);
    napi_set_named_property(env, result, "aliases", aliases);
    napi_set_named_property(env, result, "id", from_double(env, static_cast<double>(environment.operators.size())));
    environment.operators.push_back(std::move(op));
    return result;
  });
}

// call(id, arguments) → result, or an array of results when the schema has several. Tensors are handles.
// A result that is an argument changed in place is given as undefined: the caller has it already.
napi_value call(napi_env env, napi_callback_info info) {
  return guarded(env, [&]() -> napi_value {
    Arguments<2> js(env, info);
    const Operator& op = operator_at(env, js[0]);
    const c10::FunctionSchema& schema = op.handle.schema();
    uint32_t given = 0;
    check(napi_get_array_length(env, js[1], &given), "arguments must be an array");
    const auto& formal = schema.arguments();
    if (given > formal.size()) {
      throw std::runtime_error("takes at most " + std::to_string(formal.size()) + " arguments, got " + std::to_string(given));
    }
    torch::jit::Stack stack;
    stack.reserve(formal.size());
    for (size_t i = 0; i < formal.size(); ++i) {
      const c10::Argument& argument = formal[i];
      napi_value value = nullptr;
      if (i < given) check(napi_get_element(env, js[1], i, &value), "cannot read an argument");
      const bool missing = value == nullptr || is_nullish(env, value);
      if (missing && argument.default_value()) {
        stack.push_back(*argument.default_value());
      } else if (missing && argument.type()->kind() == TypeKind::OptionalType) {
        stack.emplace_back();
      } else if (missing) {
        throw std::runtime_error("argument '" + argument.name() + "' is missing");
      } else {
        try {
          stack.push_back(to_ivalue(env, value, argument.type(), argument.real_type(), argument));
        } catch (const NapiFailure&) {
          throw;
        } catch (const std::exception& error) {
          throw std::runtime_error("argument '" + argument.name() + "': " + error.what());
        }
      }
    }
    op.handle.callBoxed(&stack);
    if (op.alias_of_argument.size() == 1) {
      return op.alias_of_argument[0] >= 0 ? undefined(env) : from_ivalue(env, std::move(stack[0]));
    }
    napi_value results;
    check(napi_create_array_with_length(env, stack.size(), &results), "cannot create an array");
    for (size_t i = 0; i < stack.size(); ++i) {
      napi_value value = op.alias_of_argument[i] >= 0 ? undefined(env) : from_ivalue(env, std::move(stack[i]));
      check(napi_set_element(env, results, i, value), "cannot fill an array");
    }
    return results;
  });
}

// schemas() → every schema text in the namespace aten, sorted by the caller: what the code generator reads.
napi_value schemas(napi_env env, napi_callback_info) {
  return guarded(env, [&] {
    napi_value result;
    check(napi_create_array(env, &result), "cannot create an array");
    uint32_t count = 0;
    auto& dispatcher = c10::Dispatcher::singleton();
    for (const auto& name : dispatcher.getAllOpNames()) {
      if (name.name.rfind("aten::", 0) != 0) continue;
      const auto op = dispatcher.findSchema(name);
      if (!op) continue;
      const auto& schema = op->schema();
      napi_value entry, list;
      check(napi_create_object(env, &entry), "cannot create an object");
      napi_set_named_property(env, entry, "name", from_string(env, name.name.substr(6)));
      napi_set_named_property(env, entry, "overload", from_string(env, name.overload_name));
      std::ostringstream text;
      text << schema;
      napi_set_named_property(env, entry, "text", from_string(env, text.str()));
      check(napi_create_array(env, &list), "cannot create an array");
      for (size_t i = 0; i < schema.arguments().size(); ++i) {
        const auto& argument = schema.arguments()[i];
        napi_value item;
        check(napi_create_object(env, &item), "cannot create an object");
        napi_set_named_property(env, item, "name", from_string(env, argument.name()));
        napi_set_named_property(env, item, "type", from_string(env, argument.real_type()->str()));
        napi_set_named_property(env, item, "fixedLength", from_bool(env, argument.N().has_value()));
        napi_set_named_property(env, item, "optional", from_bool(env, argument.default_value().has_value()));
        napi_set_element(env, list, i, item);
      }
      napi_set_named_property(env, entry, "arguments", list);
      check(napi_create_array(env, &list), "cannot create an array");
      for (size_t i = 0; i < schema.returns().size(); ++i) {
        napi_set_element(env, list, i, from_string(env, schema.returns()[i].type()->str()));
      }
      napi_set_named_property(env, entry, "returns", list);
      napi_set_element(env, result, count++, entry);
    }
    return result;
  });
}

}  // namespace

void register_dispatch(napi_env env, napi_value exports) {
  define(env, exports, "findOperator", find_operator);
  define(env, exports, "call", call);
  define(env, exports, "schemas", schemas);
}

}  // namespace conquer
