// Where the tokens of an image's windows lie, and which of a window see each other.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/kernel.h"
#include "kernels/simd.h"

namespace wimm {

class WindowMap {
 public:
  // Windows of `size` in an image [N, H, W, …]; `halo`: with so many rows and columns around them.
  void reshape(const Windows& op, Size2d size, const Shape& image, int64_t halo = 0) {
    const Size2d all{image[1], image[2]};
    step_ = size;
    size_ = {size[0] + 2 * halo, size[1] + 2 * halo};
    pixels_ = all[0] * all[1];
    tokens_.clear();
    regions_.clear();
    for (int64_t top = -halo; top < all[0] - halo; top += size[0])
      for (int64_t left = -halo; left < all[1] - halo; left += size[1])
        for (int64_t y = top; y < top + size_[0]; ++y)
          for (int64_t x = left; x < left + size_[1]; ++x) {
            const bool inside = y >= 0 && x >= 0 && y < all[0] && x < all[1];
            tokens_.push_back(inside ? place(op, 0, y, all[0]) * all[1] + place(op, 1, x, all[1]) : -1);
            regions_.push_back(static_cast<float>(3 * region(op, 0, y, all[0]) + region(op, 1, x, all[1])));
          }
    shifted_ = op.shift != Size2d{};
    regions_.resize(regions_.size() + overread_floats, -1);
  }

  const Size2d& size() const { return size_; }
  int64_t area() const { return size_[0] * size_[1]; }
  int64_t count() const { return static_cast<int64_t>(tokens_.size()) / area(); }
  int64_t pixels() const { return pixels_; }  // of an image
  // Where it lies in its image; -1: outside.
  int64_t token(int64_t window, int64_t i) const { return tokens_[window * area() + i]; }

  // Lowers the scores of keys that the query does not see.
  void mask(float* scores, int64_t window, int64_t query, float by) const {
    if (!shifted_) return;
    const float *regions = &regions_[window * area()], own = regions[query];
    map4(scores, scores, 0, area(),
         [&](f32x4 score, int64_t i) { return load(regions + i) == splat(own) ? score : score - by; });
  }

 private:
  // Where the i-th row (column) of the windows lies in an image that has `all`.
  int64_t place(const Windows& op, int axis, int64_t i, int64_t all) const {
    if (op.strided) return i % step_[axis] * (all / step_[axis]) + i / step_[axis];
    return i < op.rolled[axis] ? (i + op.shift[axis]) % op.rolled[axis] : i;
  }
  // Of three runs of rows (columns), which came from different places, or may have.
  int64_t region(const Windows& op, int axis, int64_t i, int64_t all) const {
    if (op.shift[axis] == 0 || i < all - step_[axis]) return 0;
    return i < all - op.shift[axis] ? 1 : 2;
  }

  Size2d size_{}, step_{};
  int64_t pixels_ = 0;
  std::vector<int64_t> tokens_;  // [windows, area]
  std::vector<float> regions_;   // the same
  bool shifted_ = false;
};

}  // namespace wimm
