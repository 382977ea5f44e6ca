"""The Differentiable Neural Computer as a Keras RNN cell."""

import keras
import numpy as np
from keras import constraints, initializers, ops, regularizers

from keras_dnc.dropout import PassesDropoutMasks
from keras_dnc.extensions import Extensions
from keras_dnc.initialization import fresh, seed_of
from keras_dnc.interface import Interface, InterfaceVector, interface_size
from keras_dnc.precision import AtLeastFloat32
from keras_dnc.serialization import deserialize_layers
from keras_dnc.state import DNCState, StateLayout, parts_of
from keras_dnc.validation import (
    boolean,
    fraction_below_one,
    is_array,
    is_finite,
    layer,
    nonnegative_integer,
    positive_integer,
    positive_number,
)
from keras_dnc.variables import pass_on_frozen


@keras.saving.register_keras_serializable(package="keras_dnc")
class DNCCell(AtLeastFloat32, PassesDropoutMasks, keras.layers.Layer):
    """One time step of a Differentiable Neural Computer.

    A controller network reads the input and what it last read from memory,
    emits an interface vector, and through it writes to and reads from a
    memory of `memory_size` slots:

        χ = [x ; r]         controller's input: step input, last reads
        h = controller(χ)   then `normalization`, then clipped
        ξ = W_ξ h + b_ξ     interface vector
        r = reads           after writing to memory, by ξ
        y = W_y [h ; r] + b_y

    Use it as `keras.layers.RNN(DNCCell(...))`, or write `DNC(...)`.

    Source: Graves et al., [Hybrid computing using a neural network with
    dynamic external memory](https://doi.org/10.1038/nature20101), Nature 538
    (2016), Methods.

    Shapes below are written with `B` examples in a batch, `X` features of an
    input step, `N` = `memory_size`, `W` = `word_size`, `R` = `num_reads`,
    `V` = `num_writes`.

    Args:
        units: Width of an output step `y`.
        controller: An integer for a `keras.layers.LSTMCell` of that many
            units; or any Keras RNN cell; or any layer that maps `(B, X +
            R·W)` to `(B, H)`, for a controller without recurrence.
        memory_size: Number of slots of the memory.
        word_size: Width of a slot.
        num_reads: Number of read heads.
        num_writes: Number of write heads.
        normalization: Layer through which the controller's output `h` passes
            on its way to interface and output, such as
            `keras.layers.LayerNormalization()`. The controller's own state
            stays as the controller made it. Default: none.
        clip_value: `h` is then clipped to [-clip_value, clip_value]; None for
            no clipping.
        interface: Layer called as `Interface`, in its place.
        write_head: Layer called as `WriteHead`, in its place.
        read_head: Layer called as `ReadHead`, in its place, with its method
            `state_shapes`.
        masked_keys: Whether each key brings a mask in [0, 1] of the parts of a
            slot that it is compared with.
        mask_minimum: The least value of a mask's elements.
        deallocation: Whether the retention erases what is freed, so that a
            freed slot is no longer found by its content.
        sharpness: Whether each read head brings a sharpness of at least 1 for
            its forward and for its backward weighting, which turns a
            weighting `d` into `(d + ε)^s / Σ (d + ε)^s`. Nothing is there to
            sharpen with `content_only`.
        layer_norm: Whether the interface vector passes through a
            `keras.layers.LayerNormalization` before it is split.
        content_only: Whether reading is by content alone. There are then no
            read modes, and no links or precedence in the state.
        sparse_links: Number `K` of links that each slot keeps, so that links
            take `O(N·K)` instead of `O(N²)`; True for 8, or for `memory_size`
            if that is less. Default: all. With `content_only` there are none.
            In half precision `keras.layers.RNN` rounds the numbers of slots
            among the states that it returns, or keeps if it is stateful; a
            `DNC` refuses that where it would change one.
        link_storage: Dtype in which each step's links are kept for the
            gradient, "float16" or "bfloat16", for half the memory. What the
            cell computes stays the same, and gradients are rounded a little.
            Default: float32. There is nothing to keep with `content_only`, and
            little with `sparse_links`, which keep their dtype.
        bypass_dropout: Fraction of `h` that is dropped on its way to the
            output, so that the answer must come from memory. What is dropped
            is drawn once for a sequence, as Keras draws for LSTMs; in the
            authors' code it is drawn at each time step.
        memory_initializer: Initializer of the memory's initial content, or
            an array or tensor of it, of shape `(N, W)`. In a stateful
            `keras.layers.RNN`, other than in a `DNC`, `reset_state` sets the
            memory to zero all the same.
        learned_memory: Whether the initial content is learned.
        kernel_initializer: Initializer of the kernels of the LSTM controller
            and of the projections to interface and output.
        recurrent_initializer: Initializer of the LSTM controller's recurrent
            kernel.
        bias_initializer: Initializer of the biases.
        kernel_regularizer: Regularizer of each kernel.
        recurrent_regularizer: Regularizer of the LSTM controller's recurrent
            kernel.
        bias_regularizer: Regularizer of each bias.
        kernel_constraint: Constraint of each kernel.
        recurrent_constraint: Constraint of the LSTM controller's recurrent
            kernel.
        bias_constraint: Constraint of each bias.
        dropout: Fraction of the inputs `χ` that the LSTM controller drops.
        recurrent_dropout: Fraction of its state that it drops.
        seed: Seed of the LSTM controller's dropout and of `bypass_dropout`.
        **kwargs: Arguments of `keras.layers.Layer`, such as `name`, `dtype`.

    Arguments named after the LSTM controller hold for one made from an
    integer; a controller of your own brings its own.

    Call arguments:
        inputs: Step input `x`, shape `(B, X)`.
        states: List of tensors of shape `(B, size)`, with the widths
            `state_size`, or in the true shapes of the parts that they hold,
            as `unpack_state` shows them. A state of your own needs links with
            a diagonal of zeros.
        training: Whether units are dropped.

    Returns:
        Tuple of the output `y`, shape `(B, units)`, and the new states, each
        in the shape of the old one.

    Under a half-precision policy the controller and the projections compute
    in half precision, the memory and its addressing in float32.

    Raises:
        ValueError: If an argument is out of its range, or if arguments do
            not fit each other.

    Example:
    >>> import keras
    >>> import numpy as np
    >>> import keras_dnc
    >>> cell = keras_dnc.DNCCell(4, controller=16, memory_size=8, word_size=5)
    >>> layer = keras.layers.RNN(cell, return_sequences=True)
    >>> layer(np.zeros((2, 7, 3))).shape
    TensorShape([2, 7, 4])
    >>> cell.unpack_state(cell.get_initial_state(batch_size=2)).link.shape
    TensorShape([2, 1, 8, 8])
    """

    def __init__(
        self,
        units: int,
        controller: int | keras.layers.Layer = 128,
        memory_size: int = 64,
        word_size: int = 32,
        num_reads: int = 4,
        num_writes: int = 1,
        normalization: keras.layers.Layer | None = None,
        clip_value: float | None = 20.0,
        interface: keras.layers.Layer | None = None,
        write_head: keras.layers.Layer | None = None,
        read_head: keras.layers.Layer | None = None,
        masked_keys: bool = False,
        mask_minimum: float = 0.0,
        deallocation: bool = False,
        sharpness: bool = False,
        layer_norm: bool = False,
        content_only: bool = False,
        sparse_links: int | bool | None = None,
        link_storage: str | None = None,
        bypass_dropout: float = 0.0,
        memory_initializer="zeros",
        learned_memory: bool = False,
        kernel_initializer="glorot_uniform",
        recurrent_initializer="orthogonal",
        bias_initializer="zeros",
        kernel_regularizer=None,
        recurrent_regularizer=None,
        bias_regularizer=None,
        kernel_constraint=None,
        recurrent_constraint=None,
        bias_constraint=None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        seed: int | None = None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.units = positive_integer("units", units)
        self.memory_size = positive_integer("memory_size", memory_size)
        self.word_size = positive_integer("word_size", word_size)
        self.num_reads = positive_integer("num_reads", num_reads)
        self.num_writes = positive_integer("num_writes", num_writes)
        self.clip_value = clip_value
        if clip_value is not None:
            self.clip_value = positive_number(
                "clip_value",
                clip_value,
                "a positive number, or None for no clipping",
            )
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.recurrent_initializer = initializers.get(recurrent_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        self.kernel_regularizer = regularizers.get(kernel_regularizer)
        self.recurrent_regularizer = regularizers.get(recurrent_regularizer)
        self.bias_regularizer = regularizers.get(bias_regularizer)
        self.kernel_constraint = constraints.get(kernel_constraint)
        self.recurrent_constraint = constraints.get(recurrent_constraint)
        self.bias_constraint = constraints.get(bias_constraint)
        self.dropout = fraction_below_one("dropout", dropout)
        self.recurrent_dropout = fraction_below_one(
            "recurrent_dropout", recurrent_dropout
        )
        self.seed = seed
        if seed is not None:
            nonnegative_integer("seed", seed)
        self.bypass_dropout = fraction_below_one(
            "bypass_dropout", bypass_dropout
        )
        if self.bypass_dropout:
            self.seed_generator = keras.random.SeedGenerator(
                seed_of(seed, "bypass_dropout")
            )
        self.memory_initializer = self._checked_initializer(memory_initializer)
        self.learned_memory = boolean("learned_memory", learned_memory)
        self.initial_memory = None

        sublayers = {
            "interface": interface,
            "write_head": write_head,
            "read_head": read_head,
        }
        self._defaults = [k for k, part in sublayers.items() if part is None]
        self.extensions = Extensions(
            masked_keys,
            mask_minimum,
            deallocation,
            sharpness,
            layer_norm,
            content_only,
            sparse_links,
            link_storage,
        ).checked(self.memory_size, sublayers)
        self._controller_units = None
        if not isinstance(controller, keras.layers.Layer):
            self._controller_units = positive_integer(
                "controller",
                controller,
                "a positive integer, an RNN cell or a layer without recurrence",
            )
            controller = self.make_controller(self._controller_units)
        self.controller = self._checked_controller(controller)
        if normalization is not None:
            layer("normalization", normalization)
        self.normalization = normalization
        if interface is None:
            interface = self._make_interface()
        self.interface = self._checked_interface(layer("interface", interface))
        if write_head is None:
            write_head = self.extensions.make_write_head(self.dtype_policy)
        self.write_head = layer("write_head", write_head)
        if read_head is None:
            read_head = self.extensions.make_read_head(self.dtype_policy)
        self.read_head = layer("read_head", read_head, "state_shapes")
        self.output_projection = self.make_projection(
            self.units, name="output_projection"
        )
        link_shape, precedence_shape = self.read_head.state_shapes(
            self.num_writes, self.memory_size
        )
        self._layout = StateLayout(
            DNCState(
                memory=(self.memory_size, self.word_size),
                usage=(self.memory_size,),
                precedence=precedence_shape,
                link=link_shape,
                write_weightings=(self.num_writes, self.memory_size),
                read_weightings=(self.num_reads, self.memory_size),
                reads=(self.num_reads, self.word_size),
                controller_states=self._controller_state_size,
            )
        )

    def make_projection(
        self, units: int, name: str, use_bias: bool = True
    ) -> keras.layers.Layer:
        """Returns the layer for one of the cell's two linear maps.

        `W_ξ h + b_ξ` and `W_y [h ; r] + b_y` are made here, so that a
        subclass changes what both are made of.

        Args:
            units: The width of the map's output.
            name: The layer's name.
            use_bias: Whether it has a bias.
        """
        return _Projection(
            units,
            use_bias=use_bias,
            kernel_initializer=fresh(self.kernel_initializer),
            bias_initializer=fresh(self.bias_initializer),
            kernel_regularizer=self.kernel_regularizer,
            bias_regularizer=self.bias_regularizer,
            kernel_constraint=self.kernel_constraint,
            bias_constraint=self.bias_constraint,
            dtype=self.dtype_policy,
            name=name,
        )

    def make_controller(self, units: int) -> keras.layers.Layer:
        """Returns the controller that an integer stands for.

        A subclass changes here what it is made of.

        Args:
            units: The width of its output.
        """
        return keras.layers.LSTMCell(
            units,
            kernel_initializer=fresh(self.kernel_initializer),
            recurrent_initializer=fresh(self.recurrent_initializer),
            bias_initializer=fresh(self.bias_initializer),
            kernel_regularizer=self.kernel_regularizer,
            recurrent_regularizer=self.recurrent_regularizer,
            bias_regularizer=self.bias_regularizer,
            kernel_constraint=self.kernel_constraint,
            recurrent_constraint=self.recurrent_constraint,
            bias_constraint=self.bias_constraint,
            dropout=self.dropout,
            recurrent_dropout=self.recurrent_dropout,
            seed=self.seed,
            dtype=self.dtype_policy,
            name="controller",
        )

    @property
    def output_size(self) -> int:
        """Width of an output step, `units`."""
        return self.units

    @property
    def state_size(self) -> list[int]:
        """The widths of the state's flat tensors."""
        return self._layout.sizes

    @property
    def reads_size(self) -> int:
        """Width `R·W` of all read vectors together."""
        return self.num_reads * self.word_size

    def build(self, input_shape):
        """Builds every sublayer, by one symbolic step."""
        if len(input_shape) != 2:
            raise ValueError(
                "`inputs` of a time step must have the shape (B, X). "
                f"Received: inputs of shape {tuple(input_shape)}"
            )
        self.input_spec = keras.InputSpec(ndim=2, axes={-1: input_shape[-1]})
        if self.has_initial_memory:
            self.initial_memory = self.add_weight(
                shape=(self.memory_size, self.word_size),
                initializer=self.memory_initializer,
                trainable=self.learned_memory,
                # Half precision is for the controller and the projections.
                autocast=False,
                name="initial_memory",
            )
        batch_size = input_shape[0]
        states = [
            keras.KerasTensor((batch_size, size), dtype=self.compute_dtype)
            for size in self.state_size
        ]
        inputs = keras.KerasTensor(input_shape, dtype=self.compute_dtype)
        state = self.unpack_state(states)
        if self.bypass_dropout:
            self.hidden_size = self._control(inputs, state)[0].shape[-1]
        self.step(inputs, state)
        # An outer call in training mode draws masks here that hold no values.
        self.reset_dropout_mask()
        self.reset_recurrent_dropout_mask()
        pass_on_frozen(self)

    def call(self, inputs, states, training=False):
        """Returns the output and the new states, shaped as the old ones."""
        state = self.unpack_state(states)
        outputs, state, _ = self.step(inputs, state, training)
        return outputs, [
            ops.reshape(new, (-1, *old.shape[1:]))
            for new, old in zip(parts_of(state), states, strict=True)
        ]

    def step(
        self, inputs, state: DNCState, training: bool = False
    ) -> tuple[keras.KerasTensor, DNCState, InterfaceVector]:
        """Computes one time step and shows the interface vector.

        The cell must have been built.

        Args:
            inputs: Step input `x`, shape `(B, X)`.
            state: The `DNCState` of the previous step.
            training: Whether `h` is dropped on its way to the output, by the
                masks that a recurrent layer draws before its loop.

        Returns:
            Tuple of the output `y`, the new `DNCState` and the parts of the
            interface vector.
        """
        hidden, controller_states = self._control(inputs, state)
        interface = self.interface(hidden)
        memory, usage, write_weightings = self.write_head(
            interface,
            state.memory,
            state.usage,
            state.write_weightings,
            state.read_weightings,
        )
        reads, read_weightings, link, precedence = self.read_head(
            interface,
            memory,
            state.link,
            state.precedence,
            write_weightings,
            state.read_weightings,
        )
        if training:
            hidden = self.drop_bypass(hidden)
        outputs = self.output_projection(self._with_reads(hidden, reads))
        new_state = DNCState(
            memory,
            usage,
            precedence,
            link,
            write_weightings,
            read_weightings,
            reads,
            controller_states,
        )
        return outputs, new_state, interface

    def _control(self, inputs, state):
        """Returns `h_t` and the controller's new states."""
        inputs = self._with_reads(inputs, state.reads)
        if self._is_recurrent:
            hidden, controller_states = self.controller(
                inputs, state.controller_states
            )
        else:
            hidden, controller_states = self.controller(inputs), []
        if self.normalization is not None:
            hidden = self.normalization(hidden)
        hidden = ops.cast(hidden, self.compute_dtype)
        if self.clip_value is not None:
            hidden = ops.clip(hidden, -self.clip_value, self.clip_value)
        return hidden, keras.tree.map_structure(
            lambda part: ops.cast(part, self.compute_dtype), controller_states
        )

    def _with_reads(self, x, reads):
        """Returns `[x ; r¹ … r^R]`."""
        reads = ops.reshape(reads, (-1, self.reads_size))
        return ops.concatenate([x, reads], axis=-1)

    def unpack_state(self, states) -> DNCState:
        """Returns the state that the flat tensors hold, in its true shapes.

        Args:
            states: List of tensors of shape `(B, size)`, with the widths
                `state_size`, as `keras.layers.RNN` carries and returns them.
        """
        return self._layout.unpack(states)

    def pack_state(self, state: DNCState) -> list:
        """Returns the flat tensors of a state, as `keras.layers.RNN` takes it.

        Args:
            state: A `DNCState` of tensors.
        """
        return self._layout.pack(state)

    def get_initial_state(self, batch_size=None) -> list:
        """Returns the initial state as flat tensors.

        The initial memory, the controller's initial state, and zeros for the
        rest.

        Args:
            batch_size: Number of examples.

        Raises:
            ValueError: If the initial memory is a weight, and the cell has not
                been built.
        """
        initial = [
            ops.zeros((batch_size, size), dtype=self.compute_dtype)
            for size in self.state_size
        ]
        if self.has_initial_memory:
            if self.initial_memory is None:
                raise ValueError(
                    "A cell with an initial memory must have been built before "
                    "it knows its initial state: call `cell.build((None, X))`"
                )
            # The memory is the first part of the state.
            memory = ops.cast(self.initial_memory, self.compute_dtype)
            initial[0] = initial[0] + ops.reshape(memory, (1, -1))
        if not hasattr(self.controller, "get_initial_state"):
            return initial
        controller_states = keras.tree.flatten(
            self.controller.get_initial_state(batch_size=batch_size)
        )
        return initial[: -len(controller_states)] + [
            ops.cast(part, self.compute_dtype) for part in controller_states
        ]

    @property
    def has_initial_memory(self) -> bool:
        """Whether the initial content of the memory is a weight."""
        is_zero = isinstance(self.memory_initializer, initializers.Zeros)
        return self.learned_memory or not is_zero

    @property
    def _is_recurrent(self):
        return hasattr(self.controller, "state_size")

    @property
    def _controller_state_size(self):
        """The controller's `state_size` as the structure of its states."""
        if not self._is_recurrent:
            return []
        size = self.controller.state_size
        return size if keras.tree.is_nested(size) else [size]

    def _make_interface(self):
        sizes = (self.word_size, self.num_reads, self.num_writes)
        return Interface(
            *sizes,
            projection=self.make_projection(
                interface_size(*sizes, **self.extensions.parts),
                name="projection",
            ),
            normalization=self.extensions.make_normalization(self.dtype_policy),
            mask_minimum=self.extensions.mask_minimum,
            **self.extensions.parts,
            dtype=self.dtype_policy,
            name="interface",
        )

    def _checked_initializer(self, initializer):
        shape = (self.memory_size, self.word_size)
        expected = (
            "`memory_initializer` must be an initializer, or an array of "
            f"finite numbers of shape {shape}"
        )
        if initializer is None:
            raise ValueError(f"{expected}. Received: memory_initializer=None")
        if is_array(initializer):
            initializer = initializers.Constant(
                ops.convert_to_numpy(initializer)
            )
        try:
            initializer = initializers.get(initializer)
        except ValueError as error:
            raise ValueError(f"{expected}. {error}") from error
        if isinstance(initializer, initializers.Constant):
            value = np.asarray(initializer.value)
            if value.shape not in ((), shape) or not is_finite(value):
                raise ValueError(
                    f"{expected}. Received: {value.dtype} of shape "
                    f"{value.shape}: {value}"
                )
        return initializer

    def _checked_controller(self, controller):
        if isinstance(controller, keras.layers.RNN):
            raise ValueError(
                "`controller` must be an integer, an RNN cell or a layer "
                "without recurrence; pass the layer's cell, such as "
                "`keras.layers.LSTMCell(64)` for `keras.layers.LSTM(64)`. "
                f"Received: controller={controller}"
            )
        if self._controller_units is None:
            for name in (
                "recurrent_regularizer",
                "recurrent_constraint",
                "dropout",
                "recurrent_dropout",
            ):
                if getattr(self, name):
                    raise ValueError(
                        f"`{name}` holds for a controller made from an "
                        "integer; give it to your own controller itself. "
                        f"Received: {name}={getattr(self, name)}, "
                        f"controller={controller}"
                    )
        return controller

    def _checked_interface(self, interface):
        for name in ("word_size", "num_reads", "num_writes"):
            expected = getattr(self, name)
            received = getattr(interface, name, expected)
            if received != expected:
                raise ValueError(
                    f"`interface` must have the cell's {name}={expected}. "
                    f"Received an interface with {name}={received}"
                )
        return interface

    def get_config(self):
        """Returns the constructor's arguments."""
        serialize = keras.saving.serialize_keras_object
        sublayers = {
            name: None
            if name in self._defaults
            else serialize(getattr(self, name))
            for name in ("interface", "write_head", "read_head")
        }
        return {
            **super().get_config(),
            "units": self.units,
            "controller": self._controller_units or serialize(self.controller),
            "memory_size": self.memory_size,
            "word_size": self.word_size,
            "num_reads": self.num_reads,
            "num_writes": self.num_writes,
            "normalization": serialize(self.normalization),
            "clip_value": self.clip_value,
            **sublayers,
            **self.extensions._asdict(),
            "bypass_dropout": self.bypass_dropout,
            "memory_initializer": serialize(self.memory_initializer),
            "learned_memory": self.learned_memory,
            "kernel_initializer": serialize(self.kernel_initializer),
            "recurrent_initializer": serialize(self.recurrent_initializer),
            "bias_initializer": serialize(self.bias_initializer),
            "kernel_regularizer": serialize(self.kernel_regularizer),
            "recurrent_regularizer": serialize(self.recurrent_regularizer),
            "bias_regularizer": serialize(self.bias_regularizer),
            "kernel_constraint": serialize(self.kernel_constraint),
            "recurrent_constraint": serialize(self.recurrent_constraint),
            "bias_constraint": serialize(self.bias_constraint),
            "dropout": self.dropout,
            "recurrent_dropout": self.recurrent_dropout,
            "seed": self.seed,
        }

    @classmethod
    def deserialize_arguments(
        cls, config: dict, custom_objects: dict | None = None
    ) -> dict:
        """Returns the constructor's arguments that `get_config` stands for.

        Args:
            config: What `get_config` returned, with or without more keys.
            custom_objects: Names and classes not registered with Keras.
        """
        sublayers = (
            "controller",
            "normalization",
            "interface",
            "write_head",
            "read_head",
        )
        return deserialize_layers(config, sublayers, custom_objects)

    @classmethod
    def from_config(cls, config, custom_objects=None):
        """Makes a cell from what `get_config` returned."""
        return cls(**cls.deserialize_arguments(config, custom_objects))


class _Projection(keras.layers.Dense):
    """A linear map that the cell makes from its own arguments.

    They don't say that it was quantized, so that it could not be loaded again.
    """

    def quantize(self, mode=None, **kwargs):
        """Stays as it is, as the cells of Keras do."""
        raise NotImplementedError(
            f"Layer {self.path} of a DNC is not quantized."
        )
