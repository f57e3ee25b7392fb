// erf(z) / z as a quotient of polynomials in z², fitted to it from 0 to 4 (largest error 1.5e-9 before rounding): the coefficients, those of the highest
// powers first.
#pragma once

namespace conquer {
namespace error_function {

constexpr float kNumerator[] = {-1.366698018732701e-08f, 4.78057620099506e-06f,  3.826937972461112e-04f, 3.839540102875813e-03f,
                                5.4332650492069194e-02f, 1.8471051097425206e-01f, 1.12837918210706f};
constexpr float kDenominator[] = {6.400962366051156e-05f, 1.309583409141072e-03f, 1.5453543158029711e-02f, 1.138264041967141e-01f,
                                  4.9702897373602084e-01f, 1.0f};
// From here on it is 1 in float32.
constexpr float kOne = 3.92f;

}  // namespace error_function
}  // namespace conquer
