// Sample inputs of the panels.

export const SENTENCES = [
  "A cat is asleep on the warm windowsill.",
  "The kitten naps in the sun.",
  "Interest rates went up again this week.",
  "The central bank raised borrowing costs.",
  "How do I reset my password?",
  "I can't log in to my account.",
];

export const PASSAGES = [
  "Returns are free within thirty days if the box is unopened.",
  "Parcels leave our warehouse every weekday before noon.",
  "The guarantee covers faulty parts for two years.",
  "Tides are highest when sun and moon pull in one line.",
  "The lighthouse keeper climbed 199 steps every evening.",
  "Knead the dough until it no longer sticks to your hands.",
  "Let the bread cool before you cut it.",
  "A pinch of salt makes chocolate taste sweeter.",
  "Honeybees dance to tell each other where the flowers are.",
  "Swifts sleep while they fly.",
  "The whole orchestra tunes to the oboe.",
  "She wrote her second symphony in a single summer.",
];

export const QUESTION = "How long do I have to send something back?";

// [shape, colour, background]: what the small built-in model recognizes.
export const DRAWINGS = [
  ["circle", "red", "white"],
  ["star", "blue", "white"],
  ["heart", "pink", "white"],
  ["triangle", "green", "white"],
  ["square", "blue", "grey"],
  ["ring", "orange", "black"],
  ["cross", "red", "white"],
  ["diamond", "purple", "white"],
  ["star", "yellow", "black"],
  ["circle", "green", "grey"],
  ["square", "brown", "white"],
  ["heart", "red", "black"],
];

export const IMAGE_QUERY = "a blue star";
