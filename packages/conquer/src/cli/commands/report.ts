import type { Command } from 'commander';
import { loadDashboard, pictureFolders, rowReader } from '../dashboard-module.js';
import { requireWritable } from '../output-file.js';
import { findRun } from '../runs.js';

export function add(program: Command): undefined {
  program
    .command('report')
    .description('write what the dashboard shows of runs into an HTML file')
    .argument('<runs...>', 'run folders, or folders of runs')
    .option('--out <file>', 'the file (default, of one path: report.html in it)')
    .addHelpText('after', '\nExample: conquer report runs/demo --out demo.html')
    .action(async (runs: string[], { out }: { out?: string }) => await runReport(runs.map(findRun), out));
}

/** Writes the page of a run, or of several, as one file. */
async function runReport(runs: string[], out: string | undefined): Promise<void> {
  if (out !== undefined) requireWritable('--out', out);
  const { writeReport } = await loadDashboard();
  const { file, bytes } = await writeReport({
    runs,
    dataDirs: pictureFolders(),
    readRow: rowReader(),
    onProgress: (what) => process.stderr.write(`${what}\n`),
    ...(out !== undefined && { out }),
  });
  process.stdout.write(`${file} (${(bytes / 1e6).toFixed(1)} MB)\n`);
}
