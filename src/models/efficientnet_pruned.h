// Channels of the pruned EfficientNets (arXiv 2002.08258; timm/models/_pruned), one string a stage from the second:
// output channels, then the expanded/squeezed channels of each block.
#pragma once

#include <string_view>

namespace wimm::efficientnet {

inline constexpr std::string_view b1_pruned[] = {
    "12 48/4 62/6 48/6",
    "35 70/6 61/10 51/10",
    "74 175/10 188/20 137/20 164/20",
    "67 399/20 201/28 160/28 213/28",
    "192 637/27 806/48 798/48 891/48 990/48",
    "320 1152/48 1912/80",
};

inline constexpr std::string_view b2_pruned[] = {
    "17 54/4 69/6 61/6",
    "42 86/6 72/12 98/12",
    "85 245/12 274/22 254/22 292/22",
    "116 502/22 315/30 354/30 443/30",
    "208 719/30 1148/52 1160/52 1182/52 1228/52",
    "352 1248/52 2112/88",
};

inline constexpr std::string_view b3_pruned[] = {
    "12 27/6 49/8 48/8",
    "40 83/8 90/12 85/12",
    "93 215/12 261/24 219/24 254/24 236/24",
    "120 480/24 235/34 217/34 226/33 340/34",
    "232 802/34 1030/58 924/58 1016/58 1130/58 1266/58",
    "384 1392/58 2301/96",
};

}  // namespace wimm::efficientnet
