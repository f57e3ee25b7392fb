import type { Tensor } from '@conquer-dml/torch';
import type { Backbone } from '../models/backbones/backbone.js';
import { type ParameterGroup, partGroups } from './parameter-groups.js';

/** A backbone's groups, and the factor of the learning rate of each that has one of its own. */
export interface BackboneGroups {
  readonly groups: readonly ParameterGroup[];
  /** By the group's name; others: 1. */
  readonly factors: ReadonlyMap<string, number>;
}

export interface BackboneGroupOptions {
  weightDecay: number;
  /** Weight decay of parameters of one dimension too. */
  decayVectors: boolean;
  /** Factor of the learning rate from a layer to the one below it; 1: all learn alike, in one group. */
  layerDecay: number;
}

/**
 * The parameters of a backbone that train. With a layer decay each layer is a group: the uppermost has the full rate, the
 * one below it `layerDecay` times that, and so on down to the images (Clark et al., ELECTRA, 2020; Bao et al., BEiT, 2022).
 */
export function backboneGroups(
  backbone: Backbone,
  { weightDecay, decayVectors, layerDecay }: BackboneGroupOptions,
): BackboneGroups {
  const undecayed = new Set(backbone.undecayed());
  const decays = (parameter: Tensor) => !undecayed.has(parameter) && (decayVectors || parameter.ndim >= 2);
  const trained = (parameters: readonly Tensor[]) => parameters.filter(({ requiresGrad }) => requiresGrad);
  if (layerDecay === 1) {
    const groups = partGroups('backbone', trained(backbone.parameters()), weightDecay, decays);
    return { groups, factors: new Map() };
  }
  const factors = new Map<string, number>();
  const layers = backbone.parametersByDepth();
  const groups = layers.flatMap((parameters, depth) => {
    const ofLayer = trained(parameters);
    if (ofLayer.length === 0) return [];
    const made = partGroups(`backbone.${depth}`, ofLayer, weightDecay, decays);
    for (const { name } of made) factors.set(name, layerDecay ** (layers.length - 1 - depth));
    return made;
  });
  return { groups, factors };
}

/** The course of the rates over the layers, in a line; null where all learn alike. */
export function layerDecayInWords(learningRate: number, { factors }: BackboneGroups): string | null {
  const rates = [...new Set(factors.values())].map((factor) =>
    Number((learningRate * factor).toPrecision(3)),
  );
  if (rates.length === 0) return null;
  return `learning rates of the backbone's layers, from the images up: ${rates.join(', ')}`;
}
