// Elements of the page. Texts enter it as texts alone, never as HTML.

function byId(id) {
  return document.getElementById(id);
}

/** Makes an element with attributes and children, elements or texts. */
function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

function clamp(x, low, high) {
  return Math.min(Math.max(x, low), high);
}

/** The numbers from 0 to below `count`. */
function range(count) {
  return Array.from({ length: count }, (_, i) => i);
}

const tooltip = {
  show(event, text) {
    const box = byId("tooltip");
    box.textContent = text;
    box.hidden = false;
    const { width, height } = box.getBoundingClientRect();
    const left = Math.min(event.clientX + 14, innerWidth - width - 4);
    const below = event.clientY + 16;
    const top = below + height < innerHeight ? below : event.clientY - height - 8;
    box.style.transform = `translate(${left}px, ${top}px)`;
  },

  hide() {
    byId("tooltip").hidden = true;
  },
};
