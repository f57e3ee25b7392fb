import { observerCalls, type TrainObserver } from './observer.js';

type Calls = Partial<Record<string, (...args: unknown[]) => void>>;

/** One observer that tells several, in their order. */
export function joinObservers(observers: readonly TrainObserver[]): TrainObserver {
  const tell =
    (call: string) =>
    (...args: unknown[]) => {
      for (const observer of observers as readonly Calls[]) observer[call]?.(...args);
    };
  return Object.fromEntries(observerCalls.map((call) => [call, tell(call)]));
}
