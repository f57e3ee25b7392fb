import { expect, it } from 'vitest';
import { withoutFolders } from './without-folders.js';

it.each([
  ['/home/alice/my photos', '…/my photos'],
  ['/home/alice/photos/', '…/photos'],
  ['~/photos', '…/photos'],
  ['~alice/photos', '…/photos'],
  ['../../alice/photos', '…/photos'],
  ['C:\\Users\\alice\\photos', '…/photos'],
  ['\\\\server\\alice\\photos', '…/photos'],
  ['file:///home/alice/x.csv', '…/x.csv'],
  ['see /home/alice/a.txt and "/home/alice/b.txt", (~/c.txt)', 'see …/a.txt and "…/b.txt", (…/c.txt)'],
  ['a=/home/alice/x,b=/home/alice/y', 'a=…/x,b=…/y'],
  ['photos/2024', 'photos/2024'],
  ['http://localhost:5000', 'http://localhost:5000'],
  ['https://example.org/a/b', 'https://example.org/a/b'],
  ['team/project', 'team/project'],
  ['1/2 and and/or', '1/2 and and/or'],
  ['/', '/'],
  ['', ''],
])('%s is shown as %s', (text, shown) => {
  expect(withoutFolders(text)).toBe(shown);
});
