import { loadDashboard, pictureFolders } from './dashboard.js';
import { requireWritable } from './output-file.js';

export interface ReportCommand {
  /** Run folders, and folders of runs. */
  runs: string[];
  file?: string;
  /** Takes the lines about what is under way. */
  progress: NodeJS.WritableStream;
  out: NodeJS.WritableStream;
}

/** `conquer report`: the page of a run, or of several, as one file. */
export async function runReport({ runs, file, progress, out }: ReportCommand): Promise<void> {
  if (file !== undefined) requireWritable('--out', file);
  const { writeReport } = await loadDashboard();
  const written = await writeReport({
    runs,
    dataDirs: pictureFolders(),
    onProgress: (what) => progress.write(`${what}\n`),
    ...(file !== undefined && { out: file }),
  });
  out.write(`${written.file} (${(written.bytes / 1e6).toFixed(1)} MB)\n`);
}
