// Creates and finds elements.

const SVG = "http://www.w3.org/2000/svg";

/** An element of HTML; a property that the element knows is set, anything else becomes an attribute. */
export function el(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties))
    if (name in node && !name.startsWith("aria")) node[name] = value;
    else node.setAttribute(name, value);
  node.append(...children);
  return node;
}

/** An element of SVG. */
export function svg(tag, attributes = {}, ...children) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

export function byId(id) {
  return document.getElementById(id);
}

/** "1 line", "2 lines". */
export function counted(count, noun, nouns = `${noun}s`) {
  return `${count.toLocaleString("en")} ${count === 1 ? noun : nouns}`;
}

export function shortened(text, most = 80) {
  return text.length > most ? `${text.slice(0, most - 1).trimEnd()}…` : text;
}

/** A score as people read it, with a real minus sign. */
export function score(value) {
  return (Object.is(Math.round(value * 100), -0) ? 0 : value).toFixed(2).replace("-", "−");
}
