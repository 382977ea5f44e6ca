"""The sizes that are measured, and the memory traffic that each needs."""

from typing import NamedTuple

FLOAT = 4


class Size(NamedTuple):
    """The sizes of one measurement; a step's output is as wide as its input.

    Attributes:
        batch_size: `B`.
        timesteps: `T`.
        width: `X`, and `units`.
        memory_size: `N`.
        word_size: `W`.
        num_reads: `R`.
        controller: Units of the LSTM controller.
    """

    batch_size: int
    timesteps: int
    width: int
    memory_size: int
    word_size: int
    num_reads: int
    controller: int

    @property
    def one_step(self) -> "Size":
        """One time step of one example."""
        return self._replace(batch_size=1, timesteps=1)

    def least_bytes(self, passes: int) -> int:
        """Returns the traffic of passing over links and memory, in bytes.

        What else a step touches is smaller by about the word size.

        Args:
            passes: How often a time step reads or writes each number of them.
        """
        numbers = self.memory_size * (self.memory_size + self.word_size)
        return passes * FLOAT * self.batch_size * self.timesteps * numbers


SIZES = {
    "small": Size(16, 32, 8, 16, 16, 4, 64),
    "medium": Size(16, 64, 16, 128, 32, 4, 128),
    "large": Size(16, 64, 64, 256, 64, 4, 256),
    "xl": Size(4, 64, 64, 1024, 64, 4, 256),
    "long": Size(8, 512, 64, 128, 64, 4, 256),
}
