import type { Command } from 'commander';

/** A command: its options, its help and what it does, in a file of its own. */
export interface CommandFile {
  /**
   * Adds the command to the program.
   *
   * @param typed what was typed after it, for one whose options depend on that
   * @returns what was typed in this program's words, where it may be typed in others
   */
  add(program: Command, typed: readonly string[]): Promise<string[]> | undefined;
}
