import { UserError } from '@conquer-dml/run';
import { goldenReport } from './report.js';

// npm run golden -- DIR [DEVICE]: exit code 0 if all agrees, 1 if something is off, 2 if it was called wrongly.

const [folder, device, ...more] = process.argv.slice(2);
try {
  if (folder === undefined || more.length > 0) {
    throw new UserError(
      'expected a folder of golden files, and a device if not cpu: npm run golden -- DIR cuda:0',
    );
  }
  process.exitCode = (await goldenReport(folder, (line) => console.log(line), device)) ? 1 : 0;
} catch (error) {
  if (!(error instanceof UserError)) throw error;
  console.error(error.message);
  process.exitCode = 2;
}
