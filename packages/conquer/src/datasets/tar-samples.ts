import { createHash } from 'node:crypto';
import { mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { dirname, extname, join } from 'node:path';
import { filePartPath } from '@conquer-dml/image';
import { UserError } from '@conquer-dml/run';
import { cacheError, cacheFolder } from '../cache-folder.js';
import { imageExtensions } from './image-tree.js';
import type { ShardFile, ShardImages, ShardOptions } from './shard-files.js';
import { type TarMember, tarMembers } from './tar-members.js';

/** What the cache folder keeps of a shard. */
interface Stored {
  /** What stands behind the shard's own path in those of its images. */
  members: string[];
  classNames: string[];
  labels: number[];
  withoutImage: number;
}

/**
 * The images of a tar shard in webdataset's layout: files whose names are one up to the first dot are a sample. Where each lies and
 * its class are kept in the cache folder until the shard's size or time changes.
 *
 * @param options which file of a sample is the image, by its name behind the key (`jpg`, `left.png`; null: its only one), and where its
 *   class stands: `cls`, `txt`, `json.FIELD`; null: the first that is there of cls, json.label and txt
 * @throws UserError where the shard is damaged, a key is there twice, or a sample has several images
 */
export async function tarSamples(shard: ShardFile, options: ShardOptions): Promise<ShardImages> {
  const { path, size, modified } = shard;
  // Of another version, or other options, is another file.
  const key = createHash('sha256')
    .update(JSON.stringify([2, path, options]))
    .digest('hex')
    .slice(0, 24);
  const file = join(cacheFolder(), 'shards', `${key}.json`);
  const stamp = { size, modified };
  const known = await readStored(file, stamp);
  const { members, ...found } = known ?? readSamples(shard, options);
  if (!known) writeStored(file, { stamp, members, ...found });
  // Through JSON, as texts that are joined are kept in pieces, which take twice the room.
  const paths: string[] = JSON.parse(JSON.stringify(members.map((member) => path + member)));
  return { paths, ...found };
}

/** A key and what stands behind it, as webdataset divides a name; null: of no sample. */
function keyOf(name: string): { key: string; suffix: string } | null {
  const start = name.lastIndexOf('/') + 1;
  const dot = name.indexOf('.', start);
  if (dot <= start || name.startsWith('__', start)) return null;
  return { key: name.slice(0, dot), suffix: name.slice(dot + 1).toLowerCase() };
}

interface Sample {
  key: string;
  image: TarMember | null;
  suffixes: string[];
  label: string | null;
  /** Of what was read as its label: less goes first. */
  rank: number;
}

function readSamples(shard: ShardFile, options: ShardOptions): Stored {
  const found: Stored = { members: [], classNames: [], labels: [], withoutImage: 0 };
  const numbers = new Map<string, number>();
  const keys = new Set<string>();
  const wanted = wantedLabels(options.label);
  const end = ({ image, label }: Sample) => {
    if (!image) {
      found.withoutImage++;
      return;
    }
    found.members.push(filePartPath({ path: '', ...image }, image.name));
    let number = label === null ? -1 : numbers.get(label);
    if (number === undefined) {
      number = numbers.size;
      numbers.set(label!, number);
    }
    found.labels.push(number);
  };
  let sample: Sample | undefined;
  for (const member of tarMembers(shard)) {
    const name = keyOf(member.name);
    if (!name) continue;
    const { key, suffix } = name;
    if (sample?.key !== key) {
      if (sample) end(sample);
      if (keys.has(key))
        throw new UserError(
          `${shard.path}: the key ${key} is there twice; the files of a sample follow one another, and no other sample has its key`,
        );
      keys.add(key);
      sample = { key, image: null, suffixes: [], label: null, rank: wanted.length };
    }
    if (sample.suffixes.includes(suffix))
      throw new UserError(`${shard.path}: its member ${member.name} is there twice`);
    sample.suffixes.push(suffix);
    if (
      options.image === null ? imageExtensions.includes(extname(`x.${suffix}`)) : suffix === options.image
    ) {
      if (sample.image)
        throw new UserError(
          `${shard.path}: the sample ${key} has several images (${sample.suffixes.join(', ')}): say which one it is about, data.dataset.image`,
        );
      sample.image = { name: member.name, offset: member.offset, length: member.length };
    }
    const rank = wanted.findIndex((label) => label.suffix === suffix);
    if (rank < 0 || rank >= sample.rank) continue;
    const label = labelIn(member.text(), wanted[rank]!.field, `${shard.path}: ${member.name}`);
    if (label !== null) Object.assign(sample, { label, rank });
  }
  if (sample) end(sample);
  return { ...found, classNames: [...numbers.keys()] };
}

/** The files of a sample that may hold its class, the first one first. */
function wantedLabels(label: string | null): { suffix: string; field: string | null }[] {
  if (label === null) return [...wantedLabels('cls'), ...wantedLabels('json.label'), ...wantedLabels('txt')];
  const [, suffix = label, field = null] = /^((?:.*\.)?json)\.([^.]+)$/.exec(label) ?? [];
  return [{ suffix: suffix.toLowerCase(), field }];
}

function labelIn(text: string, field: string | null, where: string): string | null {
  if (field === null) return text.trim() || null;
  let value: unknown;
  try {
    value = (JSON.parse(text) as Record<string, unknown> | null)?.[field];
  } catch {
    throw new UserError(`${where}: expected JSON`);
  }
  if (value === undefined || value === null) return null;
  if (typeof value === 'object')
    throw new UserError(
      `${where}: expected a text or a number as ${field}, got ${JSON.stringify(value).slice(0, 80)}`,
    );
  return String(value).trim() || null;
}

async function readStored(file: string, stamp: { size: number; modified: number }): Promise<Stored | null> {
  try {
    const { stamp: of, ...read } = JSON.parse(await readFile(file, 'utf8'));
    return of.size === stamp.size && of.modified === stamp.modified && isStored(read) ? read : null;
  } catch {
    return null; // not there, or damaged: it is made again
  }
}

function isStored({ members, classNames, labels, withoutImage }: Stored): boolean {
  const areTexts = (all: unknown) => Array.isArray(all) && all.every((text) => typeof text === 'string');
  return (
    areTexts(members) &&
    areTexts(classNames) &&
    Array.isArray(labels) &&
    labels.length === members.length &&
    labels.every((label) => label === -1 || label in classNames) &&
    typeof withoutImage === 'number'
  );
}

function writeStored(file: string, content: Stored & { stamp: object }): void {
  try {
    mkdirSync(dirname(file), { recursive: true });
    // Not waited for until it is on the disk: one that is lost or damaged is made again.
    const temporary = `${file}.${process.pid}.part`;
    writeFileSync(temporary, JSON.stringify(content));
    renameSync(temporary, file);
  } catch (error) {
    throw cacheError('where the images of a shard lie', file, error);
  }
}
