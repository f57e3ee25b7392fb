import type { TrainObserver } from './observer.js';

/** One observer that tells several, in their order. */
export function joinObservers(observers: readonly TrainObserver[]): TrainObserver {
  return {
    onPreparation: (info) => {
      for (const observer of observers) observer.onPreparation?.(info);
    },
    onBegin: (info) => {
      for (const observer of observers) observer.onBegin?.(info);
    },
    onStart: () => {
      for (const observer of observers) observer.onStart?.();
    },
    onDivision: (division) => {
      for (const observer of observers) observer.onDivision?.(division);
    },
    onEpochStart: (info) => {
      for (const observer of observers) observer.onEpochStart?.(info);
    },
    onStep: (info) => {
      for (const observer of observers) observer.onStep?.(info);
    },
    onSteps: (record) => {
      for (const observer of observers) observer.onSteps?.(record);
    },
    onEmbed: (info) => {
      for (const observer of observers) observer.onEmbed?.(info);
    },
    onEpochEnd: (record, best) => {
      for (const observer of observers) observer.onEpochEnd?.(record, best);
    },
    onNote: (text) => {
      for (const observer of observers) observer.onNote?.(text);
    },
  };
}
