// The licences of what a platform's package holds: those of libtorch and of what is compiled into it come with its wheel, the others
// are in packages/platform/licenses.
import { cpSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';

/**
 * Of the wheel's third parties: tests, tools that built it, other languages' and accelerators' code, none of which is in the
 * CPU's library. Whatever is not named here is taken along.
 */
const NOT_IN_IT =
  /(^|\/)(g(oogle)?test|googlemock|benchmark|tests?|testing|dart|swift|python|python-peachpy|docs|cutlass|composable_kernel|flash[-_]attn|flash-attention|cudnn_frontend|NVTX|aiter|mslk|hstu|quantize_ops|hipify_torch|dynolog|VulkanMemoryAllocator|opencl|generator|pybind11)\//;

/** @returns {string[]} paths of the licences in `folder` that belong to the CPU's library */
export function librarysLicenses(folder) {
  return readdirSync(folder, { recursive: true })
    .filter((path) => statSync(join(folder, path)).isFile() && !NOT_IN_IT.test(path))
    .sort();
}

/** @param {{ wheel: string, others: string, into: string }} folders */
export function copyLicenses({ wheel, others, into }) {
  for (const path of librarysLicenses(wheel)) cpSync(join(wheel, path), join(into, 'pytorch', path));
  cpSync(others, into, { recursive: true });
}
