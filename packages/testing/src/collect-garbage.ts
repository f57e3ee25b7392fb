import { setTimeout } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { beforeAll } from 'vitest';

// Files of tests share their worker: tensors that the one before left to the garbage collector would vanish while this one counts its own.
setFlagsFromString('--expose_gc');
const collect = runInNewContext('gc') as () => void;
beforeAll(async () => {
  // Their finalisers run in a turn of the event loop of their own, and what they let go of is found by the next collection.
  for (let turn = 0; turn < 2; turn++) {
    collect();
    await setTimeout();
  }
});
