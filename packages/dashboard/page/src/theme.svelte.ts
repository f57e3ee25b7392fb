import { createSubscriber } from 'svelte/reactivity';

/** Reading `turn` in an effect runs it again when light turns to dark or back. */
export class Theme {
  private changes = 0;
  private readonly subscribe = createSubscriber((update) => {
    const changed = () => {
      this.changes += 1;
      update();
    };
    const system = matchMedia('(prefers-color-scheme: dark)');
    system.addEventListener('change', changed);
    addEventListener('themechange', changed);
    return () => {
      system.removeEventListener('change', changed);
      removeEventListener('themechange', changed);
    };
  });

  get turn(): number {
    this.subscribe();
    return this.changes;
  }
}
