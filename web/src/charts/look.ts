// How the series of a chart are told apart: by colour, and without it by texture, dash and mark.

export const TEXTURES = ["plain", "rising", "dots", "level", "falling", "grid"] as const;
export type Texture = (typeof TEXTURES)[number];
export const MARKS = ["disc", "square", "triangle", "diamond", "ring", "cross"] as const;
export type Mark = (typeof MARKS)[number];
const DASHES: readonly (readonly number[])[] = [[], [7, 3], [2, 3], [9, 3, 2, 3], [4, 2], [12, 4]];

export const TINTS = 6;
export const REST = "other";

export interface Look {
  /** 1 to TINTS, or 0 for all the rest together. */
  tint: number;
  texture: Texture;
  mark: Mark;
  dash: readonly number[];
}

const OF_REST: Look = { tint: 0, texture: "level", mark: "ring", dash: [1, 2] };

/**
 * The look of each of the names, and of any other as one of the rest. It hangs on the names alone: what is dearer
 * tomorrow keeps its colour.
 */
export function looksOf(names: readonly string[]): (name: string) => Look {
  const known = [...new Set(names)].filter((name) => name !== REST).sort();
  const looks = new Map(known.map((name, index) => [name, lookAt(index)]));
  return (name) => looks.get(name) ?? OF_REST;
}

/** After one round of the colours each comes again in another texture, dash and mark. */
export function lookAt(index: number): Look {
  const tint = index % TINTS;
  const form = (tint + Math.floor(index / TINTS) * 2) % TINTS;
  return { tint: tint + 1, texture: TEXTURES[form]!, mark: MARKS[form]!, dash: DASHES[form]! };
}
