import { type Handle, native, type TypedArray } from './binding.js';
import { makeAten } from './dispatch.js';
import { type DType, dtypeOf, typedArrayOver } from './dtype.js';
import { attempt, TorchError } from './error.js';
import type { Aten } from './generated/ops.js';
import { enterScope, type Holder, leaveScope } from './scope.js';

/** A number, or arrays in arrays of them, all of one depth. */
export type NestedNumbers = number | NestedNumbers[];
/** Elements along a dimension, and int64 where they stand in it. Both belong to the caller, or the scope. */
export interface ValuesIndices {
  values: Tensor;
  indices: Tensor;
}

/**
 * Backstop for tensors that were forgotten outside every scope; a scope disposes of what it holds, and registering
 * costs a good part of an operator. Synchronous loops never get here, so dispose or use scope().
 */
const finalizer = new FinalizationRegistry<Handle>((handle) => native.dispose(handle));

const asList = (dim: number | readonly number[]): readonly number[] =>
  typeof dim === 'number' ? [dim] : dim;

/**
 * An n-dimensional array in libtorch's memory, with PyTorch's semantics and names (camelCased). What a method
 * does that has no comment is what PyTorch's of that name does.
 *
 * A tensor is freed by dispose(), by `using`, or at the end of the scope() it was made in. What a method
 * returns is a new tensor, which belongs to the innermost open scope, or else to the caller, also where it is
 * a view of the same memory. Methods that end in an underscore change it in place and return it. Where
 * PyTorch overloads by type, JavaScript has two names: max() is the largest of all, maxDim(dim) gives values
 * and indices.
 *
 * @throws TorchError on use after dispose, and with libtorch's message where shapes or dtypes do not fit.
 */
export class Tensor {
  #handle: Handle;
  /** @internal The open scope that disposes of this tensor, and where it stands there; else the finalizer has it. */
  holder: Holder | null = null;
  /** @internal */
  place = 0;

  /** @internal Takes over a handle of the native table. */
  constructor(handle: Handle) {
    this.#handle = handle;
    if (!enterScope(this)) this.#leaveToCollector();
  }

  /** @internal From the scope that ends to the one around it. */
  moveOut(): void {
    leaveScope(this);
    if (!enterScope(this)) this.#leaveToCollector();
  }

  /** @internal */
  get handle(): Handle {
    if (this.#handle === 0)
      throw new TorchError('the tensor was disposed: keep() it, or return it from its scope');
    return this.#handle;
  }

  // Life

  get disposed(): boolean {
    return this.#handle === 0;
  }
  /** Frees it: its memory, unless other tensors or a graph use that too. A second time does nothing. */
  dispose(): void {
    if (this.#handle === 0) return;
    if (!leaveScope(this)) finalizer.unregister(this);
    native.dispose(this.#handle);
    this.#handle = 0;
  }
  [Symbol.dispose](): void {
    this.dispose();
  }
  /** Takes the tensor out of the scope it was made in: it now lives until dispose(). */
  keep(): this {
    if (leaveScope(this)) this.#leaveToCollector();
    return this;
  }

  #leaveToCollector(): void {
    finalizer.register(this, this.#handle, this);
    native.leaveToCollector(this.#handle);
  }

  // What it is

  /** The sizes of the dimensions; [] for a scalar. */
  get shape(): number[] {
    return native.shape(this.handle);
  }
  /** Elements from one position to the next, by dimension. */
  get strides(): number[] {
    return native.strides(this.handle);
  }
  get dtype(): DType {
    return native.dtype(this.handle) as DType;
  }
  /** 'cpu', 'cuda:0', … */
  get device(): string {
    return native.device(this.handle);
  }
  get ndim(): number {
    return this.shape.length;
  }
  /** The number of elements. */
  numel(): number {
    return this.shape.reduce((product, size) => product * size, 1);
  }
  /** The size of a dimension; from the end when negative. @throws TorchError where there is none */
  size(dim: number): number {
    const shape = this.shape;
    const size = shape.at(dim);
    if (size === undefined) throw new TorchError(`size: no dimension ${dim} in shape [${shape}]`);
    return size;
  }
  toString(): string {
    return this.disposed ? 'Tensor(disposed)' : `Tensor(${this.dtype}[${this.shape}], ${this.device})`;
  }

  // Numbers out and in

  /** The one element, as a number. Waits for a GPU. @throws TorchError where there are more, or none */
  item(): number {
    return attempt('item', () => native.item(this.handle));
  }
  /** A copy of the elements in row-major order. float16 and bfloat16 come as their 16 bits: convert first. */
  toTypedArray(): TypedArray {
    return typedArrayOver(
      attempt('toTypedArray', () => native.toBuffer(this.handle)),
      this.dtype,
    );
  }
  /** The elements as doubles, in row-major order, whatever the dtype. A copy. */
  toNumbers(): Float64Array {
    if (this.dtype === 'float64') return this.toTypedArray() as Float64Array;
    const converted = this.to('float64');
    const numbers = converted.toTypedArray() as Float64Array;
    converted.dispose();
    return numbers;
  }
  /** The elements as numbers in nested arrays, as torch's tolist(). */
  tolist(): NestedNumbers {
    const shape = this.shape;
    const numbers = this.toNumbers();
    const build = (dim: number, offset: number, span: number): NestedNumbers => {
      const size = shape[dim];
      if (size === undefined) return numbers[offset] as number;
      const step = span / Math.max(size, 1);
      return Array.from({ length: size }, (_, i) => build(dim + 1, offset + i * step, step));
    };
    return build(0, 0, numbers.length);
  }
  /**
   * Copies host numbers of the same dtype into this contiguous CPU tensor, from element `offset` on.
   * @throws TorchError for another dtype, device or layout, or numbers beyond the end
   */
  copyFromBuffer(data: TypedArray, offset = 0): this {
    const { dtype } = this;
    const same = dtypeOf(data) === dtype || (dtype === 'bool' && data instanceof Uint8Array);
    if (!same)
      throw new TorchError(`copyFromBuffer: the tensor is ${dtype}, the array ${data.constructor.name}`);
    attempt('copyFromBuffer', () =>
      native.copyFromBuffer(this.handle, data, offset * data.BYTES_PER_ELEMENT),
    );
    return this;
  }

  // Gradients

  /** Whether operations on it are recorded. */
  get requiresGrad(): boolean {
    return native.requiresGrad(this.handle);
  }
  /**
   * Lets it take gradients, or (false) not.
   * @throws TorchError for integers, and for false where it was computed from others
   */
  requiresGrad_(value = true): this {
    attempt('requiresGrad_', () => native.setRequiresGrad(this.handle, value));
    return this;
  }
  /** Whether it was not computed from tensors that take gradients. */
  get isLeaf(): boolean {
    return native.isLeaf(this.handle);
  }
  /** The gradient that backward() accumulated, or null. Every read gives a new Tensor over the same memory. */
  get grad(): Tensor | null {
    const handle = native.gradient(this.handle);
    return handle === null ? null : new Tensor(handle);
  }
  set grad(value: Tensor | null) {
    attempt('grad', () => native.setGradient(this.handle, value === null ? null : value.handle));
  }
  /**
   * Accumulates d(this)/d(leaf) in the grad of every leaf. `gradient` is needed unless this is a scalar. The
   * graph is freed unless `retainGraph`.
   */
  backward(gradient?: Tensor, options: { retainGraph?: boolean } = {}): void {
    const gradients = gradient === undefined ? [] : [gradient.handle];
    attempt(`backward of ${this}`, () =>
      native.backward([this.handle], gradients, options.retainGraph ?? false),
    );
  }
  /** The same memory, outside the graph. */
  detach(): Tensor {
    return aten.detach(this);
  }

  // Copies and conversions

  /** A copy that gradients flow through. */
  clone(): Tensor {
    return aten.clone(this);
  }
  /** In row-major order: a copy, or the same memory where it is that already. */
  contiguous(): Tensor {
    return aten.contiguous(this);
  }
  /** Converts to a dtype, a device, or both. Gives a new Tensor, over the same memory where nothing changes. */
  to(target: DType | 'cpu' | `cuda${string}` | { dtype?: DType; device?: string }): Tensor {
    if (typeof target === 'object') {
      return aten.to$dtype_layout(this, target.dtype ?? this.dtype, null, target.device ?? this.device);
    }
    if (target === 'cpu' || target.startsWith('cuda'))
      return aten.to$dtype_layout(this, this.dtype, null, target);
    return aten.to$dtype(this, target as DType);
  }

  // Arithmetic

  add(other: Tensor | number): Tensor {
    return typeof other === 'number' ? aten.add$Scalar(this, other) : aten.add$Tensor(this, other);
  }
  sub(other: Tensor | number): Tensor {
    return typeof other === 'number' ? aten.sub$Scalar(this, other) : aten.sub$Tensor(this, other);
  }
  mul(other: Tensor | number): Tensor {
    return typeof other === 'number' ? aten.mul$Scalar(this, other) : aten.mul$Tensor(this, other);
  }
  div(other: Tensor | number): Tensor {
    return typeof other === 'number' ? aten.div$Scalar(this, other) : aten.div$Tensor(this, other);
  }
  pow(exponent: Tensor | number): Tensor {
    return typeof exponent === 'number'
      ? aten.pow$Tensor_Scalar(this, exponent)
      : aten.pow$Tensor_Tensor(this, exponent);
  }
  add_(other: Tensor | number): this {
    typeof other === 'number' ? aten.add_$Scalar(this, other) : aten.add_$Tensor(this, other);
    return this;
  }
  sub_(other: Tensor | number): this {
    typeof other === 'number' ? aten.sub_$Scalar(this, other) : aten.sub_$Tensor(this, other);
    return this;
  }
  mul_(other: Tensor | number): this {
    typeof other === 'number' ? aten.mul_$Scalar(this, other) : aten.mul_$Tensor(this, other);
    return this;
  }
  div_(other: Tensor | number): this {
    typeof other === 'number' ? aten.div_$Scalar(this, other) : aten.div_$Tensor(this, other);
    return this;
  }
  neg(): Tensor {
    return aten.neg(this);
  }
  abs(): Tensor {
    return aten.abs(this);
  }
  sign(): Tensor {
    return aten.sign(this);
  }
  exp(): Tensor {
    return aten.exp(this);
  }
  log(): Tensor {
    return aten.log(this);
  }
  sqrt(): Tensor {
    return aten.sqrt(this);
  }
  rsqrt(): Tensor {
    return aten.rsqrt(this);
  }
  square(): Tensor {
    return aten.square(this);
  }
  reciprocal(): Tensor {
    return aten.reciprocal(this);
  }
  sin(): Tensor {
    return aten.sin(this);
  }
  cos(): Tensor {
    return aten.cos(this);
  }
  tanh(): Tensor {
    return aten.tanh(this);
  }
  sigmoid(): Tensor {
    return aten.sigmoid(this);
  }
  relu(): Tensor {
    return aten.relu(this);
  }
  relu_(): this {
    aten.relu_(this);
    return this;
  }
  floor(): Tensor {
    return aten.floor(this);
  }
  round(): Tensor {
    return aten.round(this);
  }
  /** Raised to `min` and lowered to `max`, either of which may be left out. */
  clamp(bounds: { min?: number; max?: number }): Tensor {
    return aten.clamp(this, bounds.min ?? null, bounds.max ?? null);
  }
  clamp_(bounds: { min?: number; max?: number }): this {
    aten.clamp_(this, bounds.min ?? null, bounds.max ?? null);
    return this;
  }
  maximum(other: Tensor): Tensor {
    return aten.maximum(this, other);
  }
  minimum(other: Tensor): Tensor {
    return aten.minimum(this, other);
  }
  /** this += value · a · b */
  addcmul_(a: Tensor, b: Tensor, value = 1): this {
    aten.addcmul_(this, a, b, value);
    return this;
  }
  /** this += value · a / b */
  addcdiv_(a: Tensor, b: Tensor, value = 1): this {
    aten.addcdiv_(this, a, b, value);
    return this;
  }
  /** this += weight × (end − this) */
  lerp_(end: Tensor, weight: number): this {
    aten.lerp_$Scalar(this, end, weight);
    return this;
  }
  /**
   * Takes over the elements of `source`, of this shape or one that expands to it, whatever dtype and device.
   */
  copy_(source: Tensor): this {
    aten.copy_(this, source);
    return this;
  }
  zero_(): this {
    aten.zero_(this);
    return this;
  }
  fill_(value: number): this {
    aten.fill_$Scalar(this, value);
    return this;
  }

  // Comparison and choice

  eq(other: Tensor | number): Tensor {
    return typeof other === 'number' ? aten.eq$Scalar(this, other) : aten.eq$Tensor(this, other);
  }
  ne(other: Tensor | number): Tensor {
    return typeof other === 'number' ? aten.ne$Scalar(this, other) : aten.ne$Tensor(this, other);
  }
  lt(other: Tensor | number): Tensor {
    return typeof other === 'number' ? aten.lt$Scalar(this, other) : aten.lt$Tensor(this, other);
  }
  le(other: Tensor | number): Tensor {
    return typeof other === 'number' ? aten.le$Scalar(this, other) : aten.le$Tensor(this, other);
  }
  gt(other: Tensor | number): Tensor {
    return typeof other === 'number' ? aten.gt$Scalar(this, other) : aten.gt$Tensor(this, other);
  }
  ge(other: Tensor | number): Tensor {
    return typeof other === 'number' ? aten.ge$Scalar(this, other) : aten.ge$Tensor(this, other);
  }
  logicalAnd(other: Tensor): Tensor {
    return aten.logical_and(this, other);
  }
  logicalOr(other: Tensor): Tensor {
    return aten.logical_or(this, other);
  }
  logicalNot(): Tensor {
    return aten.logical_not(this);
  }
  isnan(): Tensor {
    return aten.isnan(this);
  }
  isfinite(): Tensor {
    return aten.isfinite(this);
  }
  /** This tensor where `condition` holds, `other` elsewhere. */
  where(condition: Tensor, other: Tensor | number): Tensor {
    return typeof other === 'number'
      ? aten.where$ScalarOther(condition, this, other)
      : aten.where$self(condition, this, other);
  }
  /** `value` where `mask` (bool, of this shape or one that expands to it) holds. */
  maskedFill(mask: Tensor, value: number): Tensor {
    return aten.masked_fill$Scalar(this, mask, value);
  }
  maskedFill_(mask: Tensor, value: number): this {
    aten.masked_fill_$Scalar(this, mask, value);
    return this;
  }
  /** (count,), the elements where `mask` holds, in row-major order: a copy. */
  maskedSelect(mask: Tensor): Tensor {
    return aten.masked_select(this, mask);
  }

  // Reductions

  /** Of all elements, (), or along `dim`. */
  sum(dim?: number | readonly number[], keepdim = false): Tensor {
    return dim === undefined ? aten.sum(this) : aten.sum$dim_IntList(this, asList(dim), keepdim);
  }
  /** Of all elements, (), or along `dim`. */
  mean(dim?: number | readonly number[], keepdim = false): Tensor {
    return dim === undefined ? aten.mean(this) : aten.mean$dim(this, asList(dim), keepdim);
  }
  prod(): Tensor {
    return aten.prod(this);
  }
  /** Of all elements, (), or along `dim`; unbiased (default) divides by n - 1. */
  std(dim?: number | readonly number[], options: { unbiased?: boolean; keepdim?: boolean } = {}): Tensor {
    const { unbiased = true, keepdim = false } = options;
    return dim === undefined ? aten.std(this, unbiased) : aten.std$dim(this, asList(dim), unbiased, keepdim);
  }
  /** Of all elements, (), or along `dim`; unbiased (default) divides by n - 1. */
  var(dim?: number | readonly number[], options: { unbiased?: boolean; keepdim?: boolean } = {}): Tensor {
    const { unbiased = true, keepdim = false } = options;
    return dim === undefined ? aten.var(this, unbiased) : aten.var$dim(this, asList(dim), unbiased, keepdim);
  }
  /** Of all elements, (). */
  max(): Tensor {
    return aten.max(this);
  }
  /** Of all elements, (). */
  min(): Tensor {
    return aten.min(this);
  }
  /** The largest along `dim`, and where it stands. */
  maxDim(dim: number, keepdim = false): ValuesIndices {
    const [values, indices] = aten.max$dim(this, dim, keepdim);
    return { values, indices };
  }
  /** The smallest along `dim`, and where it stands. */
  minDim(dim: number, keepdim = false): ValuesIndices {
    const [values, indices] = aten.min$dim(this, dim, keepdim);
    return { values, indices };
  }
  amax(dim: number | readonly number[], keepdim = false): Tensor {
    return aten.amax(this, asList(dim), keepdim);
  }
  amin(dim: number | readonly number[], keepdim = false): Tensor {
    return aten.amin(this, asList(dim), keepdim);
  }
  /** int64: where the largest stands along `dim`, or in row-major order of all. */
  argmax(dim?: number, keepdim = false): Tensor {
    return aten.argmax(this, dim ?? null, keepdim);
  }
  /** int64: where the smallest stands along `dim`, or in row-major order of all. */
  argmin(dim?: number, keepdim = false): Tensor {
    return aten.argmin(this, dim ?? null, keepdim);
  }
  /** The p-norm of all elements, (), or along `dim`. */
  norm(p = 2, dim?: number | readonly number[], keepdim = false): Tensor {
    return dim === undefined
      ? aten.norm$Scalar(this, p)
      : aten.norm$ScalarOpt_dim(this, p, asList(dim), keepdim);
  }
  all(): Tensor {
    return aten.all(this);
  }
  any(): Tensor {
    return aten.any(this);
  }
  logsumexp(dim: number | readonly number[], keepdim = false): Tensor {
    return aten.logsumexp(this, asList(dim), keepdim);
  }
  cumsum(dim: number): Tensor {
    return aten.cumsum(this, dim);
  }
  /** Of whole numbers ≥ 0, (N,): how often each occurs, int64 (max(largest + 1, minlength),). */
  bincount(minlength = 0): Tensor {
    return aten.bincount(this, null, minlength);
  }

  // Order

  /**
   * The k largest (or smallest) along `dim`, by default the last, in order unless `sorted` is false. Which of equal ones are
   * taken, and in which order they come, is left open; where it matters, sort stably.
   */
  topk(k: number, options: { dim?: number; largest?: boolean; sorted?: boolean } = {}): ValuesIndices {
    const { dim = -1, largest = true, sorted = true } = options;
    const [values, indices] = aten.topk(this, k, dim, largest, sorted);
    return { values, indices };
  }
  /** Along `dim`. Equal ones keep their order if `stable`; without it, only up to 16 elements do. */
  sort(dim = -1, descending = false, stable = false): ValuesIndices {
    const [values, indices] = aten.sort$stable(this, stable, dim, descending);
    return { values, indices };
  }
  /** int64: the positions of the elements in order; `stable` as in `sort`. */
  argsort(dim = -1, descending = false, stable = false): Tensor {
    return this.sort(dim, descending, stable).indices;
  }
  /** Positions of the elements that are not zero: int64 (count, ndim). */
  nonzero(): Tensor {
    return aten.nonzero(this);
  }

  // Products

  matmul(other: Tensor): Tensor {
    return aten.matmul(this, other);
  }
  mm(other: Tensor): Tensor {
    return aten.mm(this, other);
  }

  // Shape

  /** As view(); a copy where strides forbid that. */
  reshape(shape: readonly number[]): Tensor {
    return aten.reshape(this, shape);
  }
  /**
   * The same memory in another shape, one size of which may be -1.
   * @throws TorchError where sizes or strides forbid it
   */
  view(shape: readonly number[]): Tensor {
    return aten.view(this, shape);
  }
  t(): Tensor {
    return aten.t(this);
  }
  transpose(dim0: number, dim1: number): Tensor {
    return aten.transpose$int(this, dim0, dim1);
  }
  permute(dims: readonly number[]): Tensor {
    return aten.permute(this, dims);
  }
  squeeze(dim?: number): Tensor {
    return dim === undefined ? aten.squeeze(this) : aten.squeeze$dim(this, dim);
  }
  unsqueeze(dim: number): Tensor {
    return aten.unsqueeze(this, dim);
  }
  /** A view in which dimensions of size 1 repeat: not to be written to. */
  expand(shape: readonly number[]): Tensor {
    return aten.expand(this, shape);
  }
  /** A copy, repeated so many times along each dimension. */
  repeat(repeats: readonly number[]): Tensor {
    return aten.repeat(this, repeats);
  }
  flatten(startDim = 0, endDim = -1): Tensor {
    return aten.flatten$using_ints(this, startDim, endDim);
  }
  flip(dims: readonly number[]): Tensor {
    return aten.flip(this, dims);
  }
  roll(shifts: number | readonly number[], dims: number | readonly number[] = []): Tensor {
    return aten.roll(this, asList(shifts), asList(dims));
  }

  // Parts

  /** A view of start … start + length - 1 along `dim`. */
  narrow(dim: number, start: number, length: number): Tensor {
    return aten.narrow(this, dim, start, length);
  }
  /** A view of one position along `dim`, without that dimension. */
  select(dim: number, index: number): Tensor {
    return aten.select$int(this, dim, index);
  }
  /** A view of start … end - 1 along `dim`; from the end when negative. */
  slice(dim: number, start?: number, end?: number, step = 1): Tensor {
    return aten.slice$Tensor(this, dim, start ?? null, end ?? null, step);
  }
  /** A copy of the positions `index`, int64 (n,), along `dim`. */
  indexSelect(dim: number, index: Tensor): Tensor {
    return aten.index_select(this, dim, index);
  }
  /** Of the shape of `index` (int64): for dim 1, out[i, j] = this[i, index[i, j]]. */
  gather(dim: number, index: Tensor): Tensor {
    return aten.gather(this, dim, index);
  }
  /** The reverse of gather: for dim 1, this[i, index[i, j]] = source[i, j]. */
  scatter_(dim: number, index: Tensor, source: Tensor | number): this {
    if (typeof source === 'number') aten.scatter_$value(this, dim, index, source);
    else aten.scatter_$src(this, dim, index, source);
    return this;
  }
  /** As scatter_(), added. */
  scatterAdd_(dim: number, index: Tensor, source: Tensor): this {
    aten.scatter_add_(this, dim, index, source);
    return this;
  }
  /** Adds each part of `source` along `dim` to the position in `index`, int64 (n,). */
  indexAdd_(dim: number, index: Tensor, source: Tensor): this {
    aten.index_add_(this, dim, index, source);
    return this;
  }
  /** Sets the positions `index`, int64 (n,), along `dim`. */
  indexFill_(dim: number, index: Tensor, value: number): this {
    aten.index_fill_$int_Scalar(this, dim, index, value);
    return this;
  }
}

/** Every ATen operator, typed; see makeAten. Most of what training needs is a method of Tensor. */
export const aten = makeAten<Aten<Tensor>>(Tensor);
