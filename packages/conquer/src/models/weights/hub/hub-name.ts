import { UserError } from '@conquer-dml/run';

/** A repository of the hub, and which state of it. */
export interface HubName {
  /** `owner/name`. */
  repository: string;
  /** A branch, a tag or a commit. */
  revision: string;
}

const PART = /^(?!.*(?:--|\.\.))[A-Za-z0-9_](?:[\w.-]{0,94}[A-Za-z0-9_])?$/;

/** Whether a text can be the name of a repository: `owner/name`, perhaps with `hf-hub:` before it and `@revision` behind. */
export function isHubName(text: string): boolean {
  const [repository = ''] = text.replace(/^hf[-_]hub:/, '').split('@');
  const parts = repository.split('/');
  return parts.length === 2 && parts.every((part) => PART.test(part));
}

/** @throws UserError for what cannot be the name of a repository, or of a revision */
export function hubNameOf(text: string): HubName {
  const [repository = '', revision = 'main', ...others] = text.replace(/^hf[-_]hub:/, '').split('@');
  if (!isHubName(text) || others.length > 0)
    throw new UserError(
      `expected the name of a repository, 'owner/name' or 'owner/name@revision', got '${text}'`,
    );
  // A revision becomes a path in the cache.
  if (!/^[\w./-]+$/.test(revision) || revision.split('/').some((part) => /^\.*$/.test(part)))
    throw new UserError(`${repository}: expected a branch, a tag or a commit behind '@', got '${revision}'`);
  return { repository, revision };
}
