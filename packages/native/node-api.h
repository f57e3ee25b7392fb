// Between JavaScript and C++, for the addons in packages/torch and packages/image: entries, arguments, results, errors,
// promises, and what an environment (the main thread, a worker) has of its own.
//
// Every status is looked at. A function that throws says in `what`, or `name`, which argument it is about.
#pragma once

#include <node_api.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <initializer_list>
#include <memory>
#include <new>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace conquer {

// ---- Errors

// A call of Node-API that failed: a JavaScript exception may be pending already.
struct NapiFailure : std::runtime_error {
  using std::runtime_error::runtime_error;
};

inline void check(napi_status status, const char* what) {
  if (status != napi_ok) throw NapiFailure(what);
}

// What JavaScript is told of an exception. Each addon says it: a library's may hold more than is for people.
std::string message_of(const std::exception& error);

// The body of an entry. What it throws is thrown in JavaScript: a TypeError for std::invalid_argument, a RangeError where
// there is no memory, else an Error. Where an exception is pending that one is thrown, and throwing fails.
template <typename Body>
napi_value guarded(napi_env env, Body&& body) {
  napi_status thrown;
  try {
    return body();
  } catch (const std::invalid_argument& error) {
    thrown = napi_throw_type_error(env, nullptr, message_of(error).c_str());
  } catch (const std::bad_alloc&) {
    thrown = napi_throw_range_error(env, nullptr, "Array buffer allocation failed");  // as V8 says it
  } catch (const std::exception& error) {
    thrown = napi_throw_error(env, nullptr, message_of(error).c_str());
  } catch (...) {
    thrown = napi_throw_error(env, nullptr, "unknown C++ exception");
  }
  static_cast<void>(thrown);  // it fails where JavaScript does not run any more, too
  return nullptr;
}

// ---- What an environment has of its own

// Keeps `own` until the environment ends. At most one an environment.
template <typename Own>
void keep_with(napi_env env, std::unique_ptr<Own> own) {
  const napi_finalize end = [](napi_env, void* data, void*) { delete static_cast<Own*>(data); };
  check(napi_set_instance_data(env, own.get(), end, nullptr), "cannot keep the environment's own");
  own.release();
}

template <typename Own>
Own& kept_with(napi_env env) {
  void* data = nullptr;
  check(napi_get_instance_data(env, &data), "cannot read the environment's own");
  if (data == nullptr) throw std::runtime_error("the environment is gone");
  return *static_cast<Own*>(data);
}

// ---- Arguments

template <size_t Count>
struct Arguments {
  napi_value values[Count];

  Arguments(napi_env env, napi_callback_info info) {
    size_t count = Count;
    check(napi_get_cb_info(env, info, &count, values, nullptr, nullptr), "cannot read the arguments");
    if (count != Count) {
      throw std::invalid_argument("expected " + std::to_string(Count) + " arguments, got " + std::to_string(count));
    }
  }
  napi_value operator[](size_t i) const { return values[i]; }
};

// Numbers are read as double and checked: Node's own getters of integers take NaN for 0 and 1.5 for 1.
inline double to_double(napi_env env, napi_value value, const char* what) {
  double number;
  if (napi_get_value_double(env, value, &number) != napi_ok) {
    throw std::invalid_argument(std::string(what) + ": expected a number");
  }
  return number;
}

constexpr double kLargestInteger = 9007199254740992.0;  // 2^53: up to here a double is exact

inline bool is_integer(double number) { return std::abs(number) <= kLargestInteger && std::trunc(number) == number; }

// A number or a bigint.
inline int64_t to_int64(napi_env env, napi_value value, const char* what) {
  napi_valuetype type;
  check(napi_typeof(env, value, &type), what);
  if (type == napi_bigint) {
    int64_t number;
    bool lossless;
    check(napi_get_value_bigint_int64(env, value, &number, &lossless), what);
    if (!lossless) throw std::invalid_argument(std::string(what) + ": expected an integer of 64 bits");
    return number;
  }
  const double number = to_double(env, value, what);
  if (!is_integer(number)) {
    throw std::invalid_argument(std::string(what) + ": expected an integer, got " + std::to_string(number));
  }
  return static_cast<int64_t>(number);
}

inline bool is_null(napi_env env, napi_value value) {
  napi_valuetype type;
  check(napi_typeof(env, value, &type), "cannot read an argument");
  return type == napi_null;
}

// A whole number from `least` to `most`.
inline int64_t to_integer(napi_env env, napi_value value, int64_t least, int64_t most, const char* what) {
  const int64_t number = to_int64(env, value, what);
  if (number >= least && number <= most) return number;
  throw std::invalid_argument(std::string(what) + ": expected from " + std::to_string(least) + " to " + std::to_string(most) +
                              ", got " + std::to_string(number));
}

inline bool to_bool(napi_env env, napi_value value, const char* what) {
  bool flag;
  if (napi_get_value_bool(env, value, &flag) != napi_ok) {
    throw std::invalid_argument(std::string(what) + ": expected a boolean");
  }
  return flag;
}

inline std::string to_string(napi_env env, napi_value value, const char* what) {
  size_t length;
  if (napi_get_value_string_utf8(env, value, nullptr, 0, &length) != napi_ok) {
    throw std::invalid_argument(std::string(what) + ": expected a string");
  }
  std::string text(length, '\0');
  check(napi_get_value_string_utf8(env, value, text.data(), length + 1, &length), what);
  return text;
}

// read(element) for each element of an array. No handle of an element stays: an array may have millions. What is read
// grows with what is there, as an array of four billion holes is soon made.
template <typename Read>
void for_each_element(napi_env env, napi_value array, const char* what, Read&& read) {
  bool is_array = false;
  check(napi_is_array(env, array, &is_array), what);
  if (!is_array) throw std::invalid_argument(std::string(what) + ": expected an array");
  struct Scope {
    Scope(napi_env of, const char* what) : env(of) { check(napi_open_handle_scope(env, &scope), what); }
    ~Scope() {
      if (napi_close_handle_scope(env, scope) != napi_ok) return;  // it fails only where none is open
    }
    Scope(const Scope&) = delete;
    const napi_env env;
    napi_handle_scope scope = nullptr;
  };
  uint32_t length;
  check(napi_get_array_length(env, array, &length), what);
  for (uint32_t i = 0; i < length; ++i) {
    const Scope scope(env, what);
    napi_value element;
    check(napi_get_element(env, array, i, &element), what);
    read(element);
  }
}

// ---- Typed arrays. Their memory is to be used before JavaScript runs again: it may be transferred, resized or shrunk at
// any time, whether or not somebody holds the array.

// The memory of any typed array, also over a SharedArrayBuffer.
struct HostView {
  napi_typedarray_type type;
  void* data = nullptr;
  size_t length = 0;  // elements
  size_t bytes = 0;

  HostView(napi_env env, napi_value value, const char* what) {
    bool is = false;
    check(napi_is_typedarray(env, value, &is), what);
    if (!is) throw std::invalid_argument(std::string(what) + ": expected a typed array");
    check(napi_get_typedarray_info(env, value, &type, &length, &data, nullptr, nullptr), what);
    bytes = length * width();
  }

 private:
  size_t width() const {
    switch (type) {
      case napi_int16_array:
      case napi_uint16_array:
        return 2;
      case napi_int32_array:
      case napi_uint32_array:
      case napi_float32_array:
        return 4;
      case napi_float64_array:
      case napi_bigint64_array:
      case napi_biguint64_array:
        return 8;
      default:
        return 1;
    }
  }
};

// A typed array of one kind: Float32Array is View<float>, Uint8Array View<uint8_t>, …
template <typename Element>
struct View {
  Element* data = nullptr;
  size_t length = 0;

  View() = default;
  View(napi_env env, napi_value value, const char* what) {
    const HostView view(env, value, what);
    if (view.type != kind()) throw std::invalid_argument(std::string(what) + ": expected another kind of typed array");
    data = static_cast<Element*>(view.data);
    length = view.length;
  }

  const View& expect(size_t wanted, const char* what) const {
    if (length == wanted) return *this;
    throw std::invalid_argument(std::string(what) + ": expected " + std::to_string(wanted) + " elements, got " +
                                std::to_string(length));
  }

 private:
  static constexpr napi_typedarray_type kind() {
    if (std::is_same_v<Element, float>) return napi_float32_array;
    if (std::is_same_v<Element, double>) return napi_float64_array;
    if (std::is_same_v<Element, int32_t>) return napi_int32_array;
    static_assert(std::is_same_v<Element, float> || std::is_same_v<Element, double> || std::is_same_v<Element, int32_t> ||
                  std::is_same_v<Element, uint8_t>);
    return napi_uint8_array;
  }
};

// ---- Results

inline napi_value undefined(napi_env env) {
  napi_value result;
  check(napi_get_undefined(env, &result), "cannot create undefined");
  return result;
}

inline napi_value null(napi_env env) {
  napi_value result;
  check(napi_get_null(env, &result), "cannot create null");
  return result;
}

inline napi_value from_double(napi_env env, double value) {
  napi_value result;
  check(napi_create_double(env, value, &result), "cannot create a number");
  return result;
}

inline napi_value from_bool(napi_env env, bool value) {
  napi_value result;
  check(napi_get_boolean(env, value, &result), "cannot create a boolean");
  return result;
}

inline napi_value from_string(napi_env env, const std::string& value) {
  napi_value result;
  check(napi_create_string_utf8(env, value.data(), value.size(), &result), "cannot create a string");
  return result;
}

inline napi_value new_object(napi_env env) {
  napi_value result;
  check(napi_create_object(env, &result), "cannot create an object");
  return result;
}

inline napi_value new_array(napi_env env, size_t length = 0) {
  napi_value result;
  check(napi_create_array_with_length(env, length, &result), "cannot create an array");
  return result;
}

inline void set_property(napi_env env, napi_value object, const char* name, napi_value value) {
  check(napi_set_named_property(env, object, name, value), name);
}

inline void set_element(napi_env env, napi_value array, size_t index, napi_value value) {
  check(napi_set_element(env, array, static_cast<uint32_t>(index), value), "cannot fill an array");
}

// A function; `data` comes with each of its calls.
inline napi_value new_function(napi_env env, const char* name, napi_callback callback, void* data = nullptr) {
  napi_value function;
  check(napi_create_function(env, name, NAPI_AUTO_LENGTH, callback, data, &function), name);
  return function;
}

inline void define(napi_env env, napi_value exports, const char* name, napi_callback callback) {
  set_property(env, exports, name, new_function(env, name, callback));
}

// ---- Promises

// A promise that is settled later, and the values that are held until then.
class Deferred {
 public:
  Deferred() = default;
  Deferred(const Deferred&) = delete;
  Deferred& operator=(const Deferred&) = delete;

  // The promise.
  napi_value begin(napi_env env, std::initializer_list<napi_value> held) {
    held_.reserve(held.size());
    for (const napi_value value : held) {
      napi_ref reference;
      check(napi_create_reference(env, value, 1, &reference), "cannot hold a value");
      held_.push_back(reference);
    }
    napi_value promise;
    check(napi_create_promise(env, &deferred_, &promise), "cannot make a promise");
    return promise;
  }

  // What is held, by its place in the list.
  napi_value held(napi_env env, size_t index) const {
    napi_value value;
    check(napi_get_reference_value(env, held_.at(index), &value), "cannot find a value");
    return value;
  }

  void resolve(napi_env env) {
    release(env);
    check(napi_resolve_deferred(env, deferred_, undefined(env)), "cannot resolve a promise");
    deferred_ = nullptr;
  }

  void reject(napi_env env, const std::exception& reason) {
    napi_value error;
    check(napi_create_error(env, nullptr, from_string(env, message_of(reason)), &error), "cannot make an error");
    release(env);
    check(napi_reject_deferred(env, deferred_, error), "cannot reject a promise");
    deferred_ = nullptr;
  }

  // Of what never began: nobody has the promise, and as an open one it would stay for ever.
  void give_up(napi_env env) noexcept {
    release(env);
    napi_value nothing;
    if (deferred_ != nullptr && napi_get_undefined(env, &nothing) == napi_ok &&
        napi_resolve_deferred(env, deferred_, nothing) == napi_ok) {
      deferred_ = nullptr;
    }
  }

 private:
  void release(napi_env env) noexcept {
    for (const napi_ref reference : held_) {
      // It fails only where the environment is being taken down, and the references with it.
      if (napi_delete_reference(env, reference) != napi_ok) break;
    }
    held_.clear();
  }

  std::vector<napi_ref> held_;
  napi_deferred deferred_ = nullptr;
};

}  // namespace conquer
