// Made by tests/parity/make_adapt_goldens.py: checksums of what timm's adapt_input_conv gives.
// clang-format off
#pragma once

#include <array>
#include <cstdint>

#include "wimm/tensor.h"

// A weight of `generate`, cast to `dtype` and adapted; the checksum is of the result's bytes.
struct AdaptGolden {
  std::array<int64_t, 4> shape;
  wimm::DType dtype;
  int64_t in_chans, out_in_chans;
  uint32_t crc32;
};

constexpr AdaptGolden adapt_goldens[] = {
    {{8, 3, 7, 7}, wimm::DType::float32, 1, 1, 0x4ff4fdc9},
    {{8, 3, 7, 7}, wimm::DType::float32, 2, 2, 0x1b05f96b},
    {{8, 3, 7, 7}, wimm::DType::float32, 3, 3, 0x81bf9eb7},
    {{8, 3, 7, 7}, wimm::DType::float32, 4, 4, 0xe72967a6},
    {{8, 3, 7, 7}, wimm::DType::float32, 5, 5, 0x74d24155},
    {{8, 3, 7, 7}, wimm::DType::float32, 8, 8, 0x39214f58},
    {{8, 3, 7, 7}, wimm::DType::float32, 25, 25, 0x3905a91c},
    {{8, 3, 7, 7}, wimm::DType::float16, 1, 1, 0x7a2c39cf},
    {{8, 3, 7, 7}, wimm::DType::float16, 2, 2, 0xabad4886},
    {{8, 3, 7, 7}, wimm::DType::float16, 3, 3, 0x99846857},
    {{8, 3, 7, 7}, wimm::DType::float16, 4, 4, 0xd459db1e},
    {{8, 3, 7, 7}, wimm::DType::float16, 5, 5, 0x0cb86a62},
    {{8, 3, 7, 7}, wimm::DType::float16, 8, 8, 0x6cd2502c},
    {{8, 3, 7, 7}, wimm::DType::float16, 25, 25, 0xc1a069d1},
    {{8, 3, 7, 7}, wimm::DType::bfloat16, 1, 1, 0xfc8a1f44},
    {{8, 3, 7, 7}, wimm::DType::bfloat16, 2, 2, 0x6784a359},
    {{8, 3, 7, 7}, wimm::DType::bfloat16, 3, 3, 0x52c26d76},
    {{8, 3, 7, 7}, wimm::DType::bfloat16, 4, 4, 0x47903d1b},
    {{8, 3, 7, 7}, wimm::DType::bfloat16, 5, 5, 0x1eb80ccc},
    {{8, 3, 7, 7}, wimm::DType::bfloat16, 8, 8, 0xbfb05a84},
    {{8, 3, 7, 7}, wimm::DType::bfloat16, 25, 25, 0xcb3cf253},
    {{8, 3, 7, 7}, wimm::DType::float64, 1, 1, 0x587ffb23},
    {{8, 3, 7, 7}, wimm::DType::float64, 2, 2, 0xf82e9eff},
    {{8, 3, 7, 7}, wimm::DType::float64, 3, 3, 0x4c40b76f},
    {{8, 3, 7, 7}, wimm::DType::float64, 4, 4, 0x6da2d0fa},
    {{8, 3, 7, 7}, wimm::DType::float64, 5, 5, 0x887f1ad2},
    {{8, 3, 7, 7}, wimm::DType::float64, 8, 8, 0x60c8aa13},
    {{8, 3, 7, 7}, wimm::DType::float64, 25, 25, 0xd7dde17d},
    {{4, 3, 1, 1}, wimm::DType::float32, 1, 1, 0x35891497},
    {{4, 3, 1, 1}, wimm::DType::float32, 4, 4, 0xb51e7247},
    {{4, 3, 1, 1}, wimm::DType::float16, 1, 1, 0x11b324b4},
    {{4, 3, 1, 1}, wimm::DType::float16, 4, 4, 0x1c42b281},
    {{4, 3, 1, 1}, wimm::DType::bfloat16, 1, 1, 0x0df54525},
    {{4, 3, 1, 1}, wimm::DType::bfloat16, 4, 4, 0xc6e3123f},
    {{4, 3, 1, 1}, wimm::DType::float64, 1, 1, 0x358720e6},
    {{4, 3, 1, 1}, wimm::DType::float64, 4, 4, 0x96647e26},
    {{4, 12, 3, 3}, wimm::DType::float32, 1, 4, 0xf91e8682},
    {{4, 12, 3, 3}, wimm::DType::float16, 1, 4, 0x5a12c93d},
    {{4, 12, 3, 3}, wimm::DType::bfloat16, 1, 4, 0x9b7052e1},
    {{4, 12, 3, 3}, wimm::DType::float64, 1, 4, 0x711b4ffb},
    {{4, 1, 3, 3}, wimm::DType::float32, 1, 1, 0xc8f8c7d8},
    {{4, 1, 3, 3}, wimm::DType::float16, 1, 1, 0x2c079c3b},
    {{4, 1, 3, 3}, wimm::DType::bfloat16, 1, 1, 0x79bf50b0},
    {{4, 1, 3, 3}, wimm::DType::float64, 1, 1, 0x28921714},
};
