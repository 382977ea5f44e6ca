// Numbers in rows and columns as colors.

/** A canvas with a rectangle of color for each number. */
class HeatMap {
  /**
   * Rows or columns that are more than the pixels share them: of the numbers
   * that fall on a pixel it shows the one farthest from white.
   */
  constructor(label, rows, columns, width, height) {
    this.rows = rows;
    this.columns = columns;
    this.canvas = element("canvas", { role: "img", "aria-label": label });
    this.canvas.width = Math.max(1, Math.min(columns, Math.floor(width)));
    this.canvas.height = Math.max(1, Math.min(rows, Math.floor(height)));
    this.canvas.style.width = `${width}px`;
    this.canvas.style.height = `${height}px`;
    this.context = this.canvas.getContext("2d");
    this.image = this.context.createImageData(
      this.canvas.width,
      this.canvas.height,
    );
    this.pixels = new Uint32Array(this.image.data.buffer);
    this.left = edges(columns, this.canvas.width);
    this.top = edges(rows, this.canvas.height);
  }

  /** Draws `valueAt(row, column)`, each row with `scaleAt(row)`. */
  draw(valueAt, scaleAt) {
    const { width, height } = this.canvas;
    for (let y = 0; y < height; y++) {
      const scale = scaleAt(this.top[y]);
      for (let x = 0; x < width; x++) {
        const value = this.strongest(y, x, valueAt, scale);
        this.pixels[y * width + x] = scale.pixel(value);
      }
    }
    this.context.putImageData(this.image, 0, 0);
  }

  strongest(y, x, valueAt, scale) {
    let found = NaN;
    for (let row = this.top[y]; row < this.top[y + 1]; row++) {
      for (let column = this.left[x]; column < this.left[x + 1]; column++) {
        const value = valueAt(row, column);
        if (scale.strength(value) > scale.strength(found)) {
          found = value;
        }
      }
    }
    return found;
  }

  /** The row and the column under the pointer. */
  cell(event) {
    const box = this.canvas.getBoundingClientRect();
    const across = (event.clientX - box.left) / box.width;
    const down = (event.clientY - box.top) / box.height;
    return [
      clamp(Math.floor(down * this.rows), 0, this.rows - 1),
      clamp(Math.floor(across * this.columns), 0, this.columns - 1),
    ];
  }

  /** Shows `textAt(row, column)` at the pointer. */
  explain(textAt) {
    this.canvas.addEventListener("pointermove", (event) =>
      tooltip.show(event, textAt(...this.cell(event))),
    );
    this.canvas.addEventListener("pointerleave", tooltip.hide);
  }
}

/** Where each of `pixels` equal shares of `count` begins, and the end. */
function edges(count, pixels) {
  return range(pixels + 1).map((pixel) => Math.floor((pixel * count) / pixels));
}
