import { UserError } from '../error.js';
import { goldenReport } from './report.js';

// npm run golden -- DIR: exit code 0 if all agrees, 1 if something is off, 2 if it was called wrongly.

const folder = process.argv[2];
try {
  if (folder === undefined || process.argv.length > 3) {
    throw new UserError('expected one folder of golden files: npm run golden -- DIR');
  }
  process.exitCode = goldenReport(folder, (line) => console.log(line)) ? 1 : 0;
} catch (error) {
  if (!(error instanceof UserError)) throw error;
  console.error(error.message);
  process.exitCode = 2;
}
