// SPDX-License-Identifier: MIT
// The static tests have passed when they have compiled.
int main() {}
