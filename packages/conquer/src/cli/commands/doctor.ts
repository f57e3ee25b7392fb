import type { Command } from 'commander';
import type { Machine } from '../machine.js';
import type { Output } from '../terminal.js';

export function add(program: Command): undefined {
  program
    .command('doctor')
    .description('look at this machine: what is slow or missing, and what to do')
    .option('--json', 'print one line of JSON')
    .addHelpText('after', '\nExample: conquer doctor')
    .action(async ({ json = false }: { json?: boolean }) => {
      if (!(await runDoctor({ json, out: process.stdout }))) process.exitCode = 1;
    });
}

/** 'broken': nothing can be trained; 'slow' and 'missing' are worth a fix. */
export interface Finding {
  state: 'ok' | 'slow' | 'missing' | 'broken';
  what: string;
  found: string;
  /** One line that says what to do. */
  fix?: string;
}

const OLDEST_NODE = [20, 19] as const;
const GIB = 2 ** 30;
const gib = (bytes: number) =>
  bytes < GIB
    ? `${Math.ceil(bytes / 2 ** 20)} MiB`
    : `${(bytes / GIB).toFixed(bytes < 10 * GIB ? 1 : 0)} GiB`;

/** Below this a core does what the reference BLAS does (1 to 2), even where others use it at the same time. */
const SLOW_GFLOPS_A_CORE = 4;

function nodeFinding({ node }: Machine): Finding {
  const [major = 0, minor = 0] = node.split('.').map(Number);
  const old = major < OLDEST_NODE[0] || (major === OLDEST_NODE[0] && minor < OLDEST_NODE[1]);
  return old
    ? { state: 'broken', what: 'Node', found: node, fix: `install Node ${OLDEST_NODE.join('.')} or newer` }
    : { state: 'ok', what: 'Node', found: node };
}

function processorFinding({ cpu, vectors, platform }: Machine): Finding {
  const found = `${cpu}, ${platform}${vectors === null ? '' : `, ${vectors === 'none' ? 'no AVX' : vectors}`}`;
  const slow = vectors === 'AVX' || vectors === 'none';
  const fix = 'train on a processor with AVX2: without it everything takes twice as long or more';
  return { state: slow ? 'slow' : 'ok', what: 'processor', found, ...(slow && { fix }) };
}

/** What was looked for, in that order: each pair, why it is taken or not, and what is not there. */
function bindingFindings({ bindings: { torch, image, libtorchs, absent } }: Machine): Finding[] {
  const of = (pairs: Machine['bindings']['torch'], part: string): Finding[] =>
    pairs.map(({ origin, what, wrong }, place) => {
      const why = place === 0 ? (wrong ?? 'taken') : `not taken: ${pairs[0]?.origin} goes first`;
      const found = `${part}, ${origin}: ${what}; ${why}`;
      return { state: 'ok', what: place === 0 && wrong === null ? 'taken' : 'found', found };
    });
  const unused = libtorchs.filter(
    ({ version, libDir }) => !torch.some(({ what }) => what.startsWith(`libtorch ${version} in ${libDir}`)),
  );
  const others = unused.map(({ origin, root, version, libDir, cuda, built }): Finding => {
    const what = `libtorch ${version}${cuda ? ' with CUDA' : ''} in ${libDir} (${origin}'s)`;
    const why = built ? `not taken: LIBTORCH=${root} takes it` : 'not taken: it has no binding';
    return { state: 'ok', what: 'found', found: `torch: ${what}; ${why}` };
  });
  const without = (part: 'torch' | 'image') =>
    absent[part].map(
      ({ origin, why }): Finding => ({
        state: 'ok',
        what: 'not there',
        found: `${part}, ${origin}: ${why}`,
      }),
    );
  return [...of(torch, 'torch'), ...others, ...without('torch'), ...of(image, 'image'), ...without('image')];
}

/** An addon that does not load says itself what to do. */
const BUILD = 'do what it says; in a checkout npm run setup, elsewhere npx conquer build';

function torchFindings({ torch, cores, cards, platform }: Machine): Finding[] {
  if (!torch.works) return [{ state: 'broken', what: 'libtorch', found: torch.reason, fix: BUILD }];
  const { version, path, instructions, wrong } = torch;
  const uses = `${instructions === null ? '' : `, uses ${instructions}`}`;
  const findings: Finding[] = [
    { state: 'ok', what: 'libtorch', found: `${version}${path ? `, ${path}` : ''}${uses}` },
    wrong === null
      ? { state: 'ok', what: 'convolution', found: 'has the right values' }
      : {
          state: 'broken',
          what: 'convolution',
          found: wrong,
          fix: 'this libtorch computes wrongly on this processor: take another (LIBTORCH), or ATEN_CPU_CAPABILITY=default',
        },
  ];

  const speed = `${torch.gflops.toFixed(0)} GFLOP/s on ${cores === 1 ? '1 core' : `${cores} cores`}`;
  const slow = torch.gflops / cores < SLOW_GFLOPS_A_CORE;
  const fix = platform.startsWith('linux')
    ? 'sudo apt-get install libopenblas0-openmp (if it is there, something else takes the cores: look with top)'
    : 'something else takes the cores, or libtorch has no optimised BLAS: reinstall it';
  const found = `${torch.blas ?? 'inside libtorch'}, ${speed}`;
  findings.push({ state: slow ? 'slow' : 'ok', what: 'BLAS', found, ...(slow && { fix }) });

  if (torch.cudaDevices > 0) {
    const names = cards.length > 0 ? cards.join(', ') : `${torch.cudaDevices} devices`;
    findings.push({ state: 'ok', what: 'CUDA', found: `${names}: train with --device cuda:0` });
  } else if (cards.length > 0) {
    findings.push({
      state: 'missing',
      what: 'CUDA',
      found: `${cards.join(', ')}, but this libtorch cannot use it`,
      fix: "set LIBTORCH to a libtorch with CUDA (or LIBTORCH_USE_PYTORCH=1 for PyTorch's own), then npm run setup in a checkout, npx conquer build elsewhere",
    });
  } else findings.push({ state: 'ok', what: 'CUDA', found: 'no card: training is on the processor' });
  return findings;
}

function threadFindings({ cores, environment, torch }: Machine): Finding[] {
  const { OMP_WAIT_POLICY: policy, OMP_NUM_THREADS: threads } = environment;
  const spins = policy !== null && policy.toLowerCase() !== 'passive';
  const fix =
    "unset OMP_WAIT_POLICY: spinning threads take image decoding's cores (a step of 0.7 s took 3.5 s)";
  const used =
    threads === null
      ? `${torch.works ? torch.threads : cores}`
      : `OMP_NUM_THREADS=${threads} on ${cores} cores`;
  return [
    { state: 'ok', what: 'threads', found: `${used} (--threads changes it)` },
    {
      state: spins ? 'slow' : 'ok',
      what: 'waiting',
      found: policy === null ? 'OMP_WAIT_POLICY=passive, set by conquer' : `OMP_WAIT_POLICY=${policy}`,
      ...(spins && { fix }),
    },
  ];
}

function imageFinding({ images }: Machine): Finding {
  if (!images.works) return { state: 'broken', what: 'images', found: images.reason, fix: BUILD };
  const { jpeg, sharp, vips, wrong } = images;
  if (wrong !== null) {
    const fix = 'the libjpeg that was loaded decodes wrongly: build against another (LIBJPEG)';
    return { state: 'broken', what: 'images', found: wrong, fix };
  }
  const found = `${jpeg === null ? '' : `JPEG by ${jpeg}, others by `}sharp ${sharp} (libvips ${vips})`;
  return { state: 'ok', what: 'images', found };
}

function memoryFinding({ memory }: Machine): Finding {
  const found = `${gib(memory.free)} free of ${gib(memory.total)}`;
  const little = memory.free < 2 * GIB;
  const fix =
    'close what uses it, or train with a smaller --batch-size: ResNet-50 at 80 images wants about 8 GiB';
  return { state: little ? 'slow' : 'ok', what: 'memory', found, ...(little && { fix }) };
}

function cacheFinding({ cache }: Machine): Finding {
  const { path, parts, diskFree } = cache;
  const sizes = parts.map(({ name, bytes }) => `${name} ${gib(bytes)}`).join(', ');
  const free = diskFree === null ? '' : `; ${gib(diskFree)} free`;
  const full = diskFree !== null && diskFree < 2 * GIB;
  const fix = `make room, remove folders in ${path} (they are made again when needed), or set CONQUER_CACHE`;
  return {
    state: full ? 'missing' : 'ok',
    what: 'cache',
    found: `${path}: ${sizes === '' ? 'empty' : sizes}${free}`,
    ...(full && { fix }),
  };
}

/** What is good, slow, missing or broken about a machine. */
export function diagnose(machine: Machine): Finding[] {
  return [
    nodeFinding(machine),
    processorFinding(machine),
    ...bindingFindings(machine),
    ...torchFindings(machine),
    ...threadFindings(machine),
    imageFinding(machine),
    memoryFinding(machine),
    cacheFinding(machine),
  ];
}

/** `conquer doctor`. @returns whether everything that training needs works */
export async function runDoctor({ json, out }: { json: boolean; out: Output }): Promise<boolean> {
  const { lookAtMachine } = await import('../machine.js');
  const machine = await lookAtMachine();
  const findings = diagnose(machine);
  const broken = findings.some(({ state }) => state === 'broken');
  if (json) {
    out.write(`${JSON.stringify({ broken, findings, machine })}\n`);
    return !broken;
  }
  for (const { state, what, found, fix } of findings) {
    out.write(`${state.padEnd(8)} ${what.padEnd(11)} ${found}\n`);
    if (fix) out.write(`${' '.repeat(9)}fix: ${fix}\n`);
  }
  const count = findings.filter(({ state }) => state !== 'ok').length;
  out.write(count === 0 ? '\nnothing is slow or missing\n' : `\n${count} to look at\n`);
  return !broken;
}
