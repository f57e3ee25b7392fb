import { Argument, type Command } from 'commander';

const PARTS = ['torch', 'image'] as const;

export function add(program: Command): undefined {
  program
    .command('build')
    .description('build the bindings to libtorch here')
    .addArgument(
      new Argument('[part]', 'of them, default: torch, and image where it does not load').choices(PARTS),
    )
    .addHelpText(
      'after',
      `
Where none is prebuilt for it, or for another libtorch. It needs a C++ compiler
and a libtorch: the one that LIBTORCH names (LIBTORCH_USE_PYTORCH=1: the one of
Python's package torch), else a Python's of 2.x without CUDA, else the system's.
What it has built is taken from then on; conquer doctor says what is.

Example: conquer build
         LIBTORCH=/opt/libtorch conquer build torch`,
    )
    .action(async (part: (typeof PARTS)[number] | undefined) => {
      const say = (line: string) => void process.stdout.write(`${line}\n`);
      if (part !== 'image') {
        const { buildBinding } = await import('@conquer-dml/torch');
        say(`built: ${await buildBinding({ say })}`);
      }
      const image = await import('@conquer-dml/image');
      const loads = await image.imageLibraries().then(
        () => true,
        () => false,
      );
      if (part === 'image' || (part === undefined && !loads))
        say(`built: ${await image.buildBinding({ say })}`);
    });
}
