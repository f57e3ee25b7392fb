import { aten, noGrad, scope, type Tensor } from '@conquer-dml/torch';

/**
 * What makes tensors useless as weights and running statistics: numbers that are not finite (also those that only
 * float32 has no room for) and variances below 0. Operators do not pass all of it on: a ReLU may make 0 of NaN, so that
 * nothing is seen of it afterwards.
 *
 * @returns `NaN in conv1.weight, bn1.bias and 3 more`; null where all is well
 */
export function weightFaults(state: Iterable<readonly [string, Tensor]>): string | null {
  const faults = new Map<string, string[]>();
  for (const [name, value] of state) {
    const fault = faultOf(name, value);
    if (fault !== null) faults.set(fault, [...(faults.get(fault) ?? []), name]);
  }
  if (faults.size === 0) return null;
  return Array.from(faults, ([fault, names]) => `${fault} in ${firstThree(names)}`).join('; ');
}

function faultOf(name: string, value: Tensor): string | null {
  if (!value.dtype.includes('float')) return null;
  return scope(() =>
    noGrad(() => {
      const has = (bad: Tensor) => bad.any().item() !== 0;
      const narrow = value.to('float32');
      if (has(narrow.isfinite().logicalNot())) {
        if (has(value.isnan())) return 'NaN';
        return has(aten.isinf(value)) ? 'infinity' : 'numbers that float32 has no room for';
      }
      return name.endsWith('running_var') && has(narrow.lt(0)) ? 'variances below 0' : null;
    }),
  );
}

/** Names in a message: three, and how many more there are. */
export function firstThree(names: readonly string[]): string {
  const more = names.length > 3 ? ` and ${names.length - 3} more` : '';
  return names.slice(0, 3).join(', ') + more;
}
