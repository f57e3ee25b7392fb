import { execFileSync } from 'node:child_process';
import { serve } from './side.mjs';

await serve(() => {
  execFileSync(process.execPath, ['packages/conquer/bin/conquer.js', '--help'], { stdio: 'ignore' });
});
