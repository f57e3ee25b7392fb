import { execFileSync } from 'node:child_process';
import { temporaryFolder } from './temporary-folder.js';

/** Whether this user may mount a disk in memory. */
export function canMount(): boolean {
  const place = temporaryFolder();
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', place], { stdio: 'ignore' });
    execFileSync('umount', [place]);
    return true;
  } catch {
    return false;
  }
}
