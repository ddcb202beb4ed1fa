"""The tables of a .tflite file: their fields in the order of the schema, and what each is.

Source: tensorflow/lite/schema/schema.fbs of TensorFlow 2.18, which older and newer versions only add to.

A field is `name:kind`, or a kind alone where nothing here asks for its name: `-` one that is gone; b B ? h H i I q Q f a number, as
`struct` names its type; text; [i] a vector of numbers, of which [B] is bytes; Table and [Table]; <Union, whose table the number in
`name_type` chooses.
"""

from __future__ import annotations

IDENTIFIER = b"TFL3"
TABLES = {
    "Model": "version:I operator_codes:[OperatorCode] subgraphs:[SubGraph] description:text buffers:[Buffer]"
    " metadata_buffer:[i] metadata:[Metadata] signature_defs:[SignatureDef]",
    "OperatorCode": "deprecated_builtin_code:b custom_code:text version:i builtin_code:i",
    "SubGraph": "tensors:[Tensor] inputs:[i] outputs:[i] operators:[Operator] name:text debug_metadata_index:i",
    "Buffer": "data:[B] offset:Q size:Q",
    "Metadata": "name:text buffer:I",
    "SignatureDef": "inputs:[TensorMap] outputs:[TensorMap] signature_key:text - subgraph_index:I",
    "TensorMap": "name:text tensor_index:I",
    "Tensor": "shape:[i] type:b buffer:I name:text quantization:QuantizationParameters is_variable:? sparsity:SparsityParameters"
    " shape_signature:[i] has_rank:? variant_tensors:[VariantSubType]",
    "VariantSubType": "shape:[i] type:b has_rank:?",
    "QuantizationParameters": "min:[f] max:[f] scale:[f] zero_point:[q] details_type:B details:<QuantizationDetails"
    " quantized_dimension:i",
    "SparsityParameters": "traversal_order:[i] block_map:[i] dim_metadata:[DimensionMetadata]",
    "DimensionMetadata": "format:b dense_size:i array_segments_type:B array_segments:<SparseIndexVector"
    " array_indices_type:B array_indices:<SparseIndexVector",
    "Operator": "opcode_index:I inputs:[i] outputs:[i] builtin_options_type:B builtin_options:<BuiltinOptions custom_options:[B]"
    " custom_options_format:b mutating_variable_inputs:[?] intermediates:[i] large_custom_options_offset:Q"
    " large_custom_options_size:Q builtin_options_2_type:B builtin_options_2:<BuiltinOptions2 debug_metadata_index:i",
}
# By the number of each kind of table; kinds that are not listed have no fields.
UNIONS = {
    "QuantizationDetails": {1: "[B]"},
    "SparseIndexVector": {1: "[i]", 2: "[H]", 3: "[B]"},
    "BuiltinOptions": {
        1: "padding:b stride_w:i stride_h:i b i i b",  # Conv2DOptions
        2: "padding:b stride_w:i stride_h:i i b i i",  # DepthwiseConv2DOptions
        3: "i [i] [i]", 4: "b", 5: "b i i i i b", 6: "i b ?", 7: "b ?", 8: "b b ? ? b", 9: "f", 10: "i b", 11: "b ?", 12: "b",
        13: "i f f f", 14: "b f f b ?", 15: "- - ? ?", 16: "I", 17: "[i]", 18: "i i ?", 19: "i", 20: "b", 21: "b", 23: "i i",
        27: "?", 28: "b ?", 29: "b", 30: "[i]", 31: "? b ?", 32: "i i i i i ?", 35: "i", 37: "b b", 40: "b", 49: "b i i b b",
        50: "?", 55: "b", 57: "b", 58: "f f i ?", 59: "i i", 61: "i", 64: "i i", 69: "b f f ? ? ?", 70: "? b ? ?",
        71: "b f f ? ? ?", 74: "? ?", 75: "f", 77: "b", 79: "i", 80: "b", 87: "i i", 92: "i i", 93: "i i", 94: "i", 101: "? ? ?",
        102: "? ?", 103: "i", 106: "b i i i b i i i", 107: "i b b", 111: "text text", 114: "q q", 115: "[f]", 116: "?",
    },
    "BuiltinOptions2": {
        1: "q", 2: "[q]", 3: "[q] [q] [q]", 4: "[q] [q] [q] [q] [?] q q [q] q q [q] q q [q] q q [I]", 5: "text ? text i [i] [B]",
        6: "[q] i", 7: "? [q] [q] [q] q ? i", 8: "I I", 9: "[q]", 10: "[q] [q] [q]", 11: "q", 12: "[q] [q] [q] [q] [I]",
        13: "[q] [q] [q] [q] [q] i", 14: "q ? i", 15: "i i", 16: "[q] [q] [q] q [q] ?", 17: "[q]", 19: "b", 20: "i",
        21: "text i [B] b i",
    },
}  # fmt: skip
# Types of a tensor's values: name, and bits each takes, 0 where that differs from value to value.
TYPES = {
    0: ("float32", 32), 1: ("float16", 16), 2: ("int32", 32), 3: ("uint8", 8), 4: ("int64", 64), 5: ("string", 0), 6: ("bool", 8),
    7: ("int16", 16), 8: ("complex64", 64), 9: ("int8", 8), 10: ("float64", 64), 11: ("complex128", 128), 12: ("uint64", 64),
    13: ("resource", 0), 14: ("variant", 0), 15: ("uint32", 32), 16: ("uint16", 16), 17: ("int4", 4), 18: ("bfloat16", 16),
}  # fmt: skip
CONV_2D_OPTIONS, DEPTHWISE_CONV_2D_OPTIONS = 1, 2  # of the union BuiltinOptions
